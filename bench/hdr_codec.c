#include "bench/hdr_codec.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define COOKIE            0x1c849313u /* V2, with a word size of one byte (0x10) */
#define COOKIE_COMPRESSED 0x1c849314u
#define DIGITS            3

#define HEAD_LEN            40 /* of the encoded histogram */
#define HEAD_COMPRESSED_LEN 8
#define COUNT_LEN_MAX       9
#define ENCODED_MAX         (HEAD_LEN + HDR_SLOTS * COUNT_LEN_MAX)

/* ---- base64, RFC 4648 section 4 ------------------------------------------------------ */

static const char letters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static char *base64_encode(const unsigned char *bytes, size_t len)
{
    char *text = malloc((len + 2) / 3 * 4 + 1), *out = text;
    if (!text)
        return NULL;
    for (size_t i = 0; i < len; i += 3) {
        size_t have = len - i < 3 ? len - i : 3;
        unsigned group = (unsigned)bytes[i] << 16;
        if (have > 1)
            group |= (unsigned)bytes[i + 1] << 8;
        if (have > 2)
            group |= bytes[i + 2];
        *out++ = letters[group >> 18];
        *out++ = letters[group >> 12 & 63];
        *out++ = have > 1 ? letters[group >> 6 & 63] : '=';
        *out++ = have > 2 ? letters[group & 63] : '=';
    }
    *out = '\0';
    return text;
}

/* The value of a letter, or -1. */
static int base64_value(char letter)
{
    const char *at = letter ? strchr(letters, letter) : NULL;
    return at ? (int)(at - letters) : -1;
}

/* Into bytes[len / 4 * 3]; returns how many there are, or -1 if it is no base64. */
static long base64_decode(const char *text, size_t len, unsigned char *bytes)
{
    long count = 0;
    if (len == 0 || len % 4 != 0)
        return -1;
    for (size_t i = 0; i < len; i += 4) {
        bool last = i + 4 == len;
        int pads = last && text[i + 3] == '=' ? 1 + (text[i + 2] == '=') : 0;
        unsigned group = 0;
        for (int n = 0; n < 4; n++) {
            int value = n >= 4 - pads ? 0 : base64_value(text[i + (size_t)n]);
            if (value < 0)
                return -1;
            group = group << 6 | (unsigned)value;
        }
        for (int n = 0; n < 3 - pads; n++)
            bytes[count++] = (unsigned char)(group >> (16 - 8 * n));
    }
    return count;
}

/* ---- numbers ------------------------------------------------------------------------- */

static unsigned char *put_number(unsigned char *to, uint64_t number, int len)
{
    for (int shift = 8 * (len - 1); shift >= 0; shift -= 8)
        *to++ = (unsigned char)(number >> shift);
    return to;
}

static uint64_t get_number(const unsigned char *from, int len)
{
    uint64_t number = 0;
    for (int i = 0; i < len; i++)
        number = number << 8 | from[i];
    return number;
}

/* ZigZag: the sign is the lowest bit. The ninth byte of LEB128 has eight bits of the number
 * and no mark that another follows. */
static unsigned char *put_count(unsigned char *to, int64_t count)
{
    uint64_t left = (uint64_t)count << 1 ^ (count < 0 ? UINT64_MAX : 0);
    for (int i = 0; i < COUNT_LEN_MAX - 1; i++) {
        if (left < 0x80) {
            *to++ = (unsigned char)left;
            return to;
        }
        *to++ = (unsigned char)(left | 0x80);
        left >>= 7;
    }
    *to++ = (unsigned char)left;
    return to;
}

/* Returns the bytes it took, or 0 if there are too few. */
static size_t get_count(const unsigned char *from, size_t len, int64_t *count)
{
    uint64_t number = 0;
    for (size_t i = 0; i < len; i++) {
        bool ninth = i == COUNT_LEN_MAX - 1;
        number |= (uint64_t)(ninth ? from[i] : from[i] & 0x7F) << (7 * i);
        if (!ninth && from[i] & 0x80)
            continue;
        *count = (int64_t)(number >> 1 ^ (number & 1 ? UINT64_MAX : 0));
        return i + 1;
    }
    return 0;
}

/* ---- the histogram ------------------------------------------------------------------- */

static unsigned slots_used(const struct hdr *hdr)
{
    unsigned used = HDR_SLOTS;
    while (used > 1 && hdr->slots[used - 1] == 0)
        used--;
    return used;
}

static unsigned char *put_slots(unsigned char *to, const struct hdr *hdr)
{
    unsigned used = slots_used(hdr);
    for (unsigned slot = 0; slot < used;) {
        unsigned run = 0;
        while (slot + run < used && hdr->slots[slot + run] == 0)
            run++;
        if (run)
            to = put_count(to, -(int64_t)run);
        else
            to = put_count(to, (int64_t)hdr->slots[slot]);
        slot += run ? run : 1;
    }
    return to;
}

static size_t put_histogram(unsigned char *to, const struct hdr *hdr)
{
    static const double ratio = 1.0;
    uint64_t ratio_bits;
    memcpy(&ratio_bits, &ratio, sizeof ratio_bits);
    unsigned char *end = put_slots(to + HEAD_LEN, hdr), *at = to;
    at = put_number(at, COOKIE, 4);
    at = put_number(at, (uint64_t)(end - to - HEAD_LEN), 4);
    at = put_number(at, 0, 4);
    at = put_number(at, DIGITS, 4);
    at = put_number(at, 1, 8);
    at = put_number(at, HDR_HIGHEST, 8);
    put_number(at, ratio_bits, 8);
    return (size_t)(end - to);
}

int hdr_encode(const struct hdr *hdr, char **out)
{
    uLongf packed_len = compressBound(ENCODED_MAX);
    unsigned char *encoded = malloc(ENCODED_MAX);
    unsigned char *packed = malloc(HEAD_COMPRESSED_LEN + packed_len);
    char *text = NULL;
    if (encoded && packed) {
        size_t len = put_histogram(encoded, hdr);
        if (compress(packed + HEAD_COMPRESSED_LEN, &packed_len, encoded, len) == Z_OK) {
            put_number(put_number(packed, COOKIE_COMPRESSED, 4), packed_len, 4);
            text = base64_encode(packed, HEAD_COMPRESSED_LEN + packed_len);
        }
    }
    free(encoded);
    free(packed);
    if (!text)
        return -ENOMEM;
    *out = text;
    return 0;
}

/* ---- and back ------------------------------------------------------------------------ */

static int refuse(char *why, size_t why_len, const char *phrase)
{
    snprintf(why, why_len, "%s", phrase);
    return -EINVAL;
}

/* Minimum, maximum and sum, as near as the slots tell. */
static void set_ends(struct hdr *hdr)
{
    for (unsigned slot = 0; slot < HDR_SLOTS; slot++) {
        if (hdr->slots[slot] == 0)
            continue;
        int64_t low = hdr_slot_low(slot), width = hdr_slot_width(slot);
        if (hdr->min == INT64_MAX)
            hdr->min = low;
        hdr->max = low + width - 1;
        hdr->sum += (uint64_t)(low + width / 2) * hdr->slots[slot];
    }
}

static int get_slots(const unsigned char *from, size_t len, struct hdr *out, char *why,
                     size_t why_len)
{
    unsigned slot = 0;
    while (len) {
        int64_t count;
        size_t took = get_count(from, len, &count);
        if (took == 0)
            return refuse(why, why_len, "a count is cut off");
        from += took;
        len -= took;
        if (count >= 0) {
            if (slot == HDR_SLOTS)
                return refuse(why, why_len, "more slots than an hour of ns has");
            if ((uint64_t)count > INT64_MAX - out->count)
                return refuse(why, why_len, "more values than can be counted");
            out->slots[slot++] = (uint64_t)count;
            out->count += (uint64_t)count;
        } else {
            if (count < -(int64_t)(HDR_SLOTS - slot))
                return refuse(why, why_len, "more slots than an hour of ns has");
            slot += (unsigned)-count;
        }
    }
    set_ends(out);
    return 0;
}

static int get_histogram(const unsigned char *from, size_t len, struct hdr *out, char *why,
                         size_t why_len)
{
    if (len < HEAD_LEN || get_number(from, 4) != COOKIE)
        return refuse(why, why_len, "not a V2 histogram");
    if (get_number(from + 4, 4) != len - HEAD_LEN)
        return refuse(why, why_len, "its length is wrong");
    if (get_number(from + 8, 4) != 0)
        return refuse(why, why_len, "its slots are shifted");
    if (get_number(from + 12, 4) != DIGITS || get_number(from + 16, 8) != 1)
        return refuse(why, why_len, "not of 3 digits from 1 ns on");
    return get_slots(from + HEAD_LEN, len - HEAD_LEN, out, why, why_len);
}

static int unpack(const unsigned char *packed, long packed_len, unsigned char *encoded,
                  struct hdr *out, char *why, size_t why_len)
{
    uLongf len = ENCODED_MAX;
    if (packed_len < HEAD_COMPRESSED_LEN || get_number(packed, 4) != COOKIE_COMPRESSED)
        return refuse(why, why_len, "not a compressed V2 histogram in base64");
    if (get_number(packed + 4, 4) != (uint64_t)packed_len - HEAD_COMPRESSED_LEN)
        return refuse(why, why_len, "its compressed length is wrong");
    int err = uncompress(encoded, &len, packed + HEAD_COMPRESSED_LEN,
                         (uLong)packed_len - HEAD_COMPRESSED_LEN);
    if (err == Z_MEM_ERROR)
        return -ENOMEM;
    if (err != Z_OK)
        return refuse(why, why_len, "its zlib stream is broken, or too long");
    return get_histogram(encoded, len, out, why, why_len);
}

int hdr_decode(const char *text, struct hdr *out, char *why, size_t why_len)
{
    hdr_init(out);
    size_t len = strnlen(text, HDR_TEXT_MAX + 1);
    if (len > HDR_TEXT_MAX)
        return refuse(why, why_len, "too long for a histogram");
    unsigned char *packed = malloc(len / 4 * 3 + 1);
    unsigned char *encoded = malloc(ENCODED_MAX);
    int err = -ENOMEM;
    if (packed && encoded)
        err = unpack(packed, base64_decode(text, len, packed), encoded, out, why, why_len);
    free(packed);
    free(encoded);
    return err;
}
