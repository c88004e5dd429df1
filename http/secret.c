/*
 * secret.c - what must not be guessed, nor be told by how long a comparison takes.
 */
#include <prefork/http.h>

#include <errno.h>
#include <sys/random.h>

/* getrandom(2): so many bytes come whole, whatever signals come. */
#define BYTES_MAX 256

int pf_http_new_secret(char *text, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[BYTES_MAX];
    if (!text || size < PF_HTTP_SECRET_MIN || size % 2 == 0 || size / 2 > BYTES_MAX)
        return -EINVAL;
    if (getrandom(bytes, size / 2, GRND_NONBLOCK) < 0)
        return -errno;
    for (size_t i = 0; i < size / 2; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 0xf];
    }
    text[size - 1] = '\0';
    return 0;
}

bool pf_http_same_secret(const void *a, size_t a_len, const void *b, size_t b_len)
{
    /* Volatile: or a compiler might stop at the first difference. */
    const volatile unsigned char *x = a, *y = b;
    unsigned char differ = 0;
    if (a_len != b_len)
        return false;
    for (size_t i = 0; i < a_len; i++)
        differ |= x[i] ^ y[i];
    return differ == 0;
}
