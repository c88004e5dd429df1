/* canned.c - see canned.h. */
#include "bench/canned.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    HEAD_ROOM = 256
};

static const char BAD[] = "HTTP/1.1 400 \r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
static const char GARBAGE[] = "\x16\x03\x01 this is no answer\r\n\r\n";

/* RFC 9110 15.3.5, 15.4.5: these have no body, and a 204 has no length either. */
static bool has_body(unsigned status)
{
    return status != 204 && status != 304;
}

/* The kind and, behind it in the enum, the one without its body. */
static char *make(struct canned *canned, enum canned_kind kind, unsigned status,
                  size_t body)
{
    char length[64] = "";
    if (has_body(status))
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", body);
    else
        body = 0;
    char *text = malloc(HEAD_ROOM + body);
    if (!text)
        return NULL;
    size_t head = (size_t)snprintf(text, HEAD_ROOM, "HTTP/1.1 %u %s\r\n%s%s\r\n", status,
                                   status == 200 ? "OK" : "", length,
                                   canned_is_last(kind) ? "Connection: close\r\n" : "");
    for (size_t i = 0; i < body; i++)
        text[head + i] = (char)('a' + i % 26);
    canned->answer[kind] = (struct iovec){text, head + body};
    canned->answer[kind + 1] = (struct iovec){text, head};
    return text;
}

static struct iovec fixed(const char *text, size_t len)
{
    return (struct iovec){(void *)(uintptr_t)text, len}; /* it is only sent */
}

int canned_init(struct canned *canned, unsigned status, size_t body)
{
    canned->text[0] = make(canned, CANNED, status, body);
    canned->text[1] = make(canned, CANNED_LAST, status, body);
    canned->answer[CANNED_BAD] = fixed(BAD, sizeof BAD - 1);
    canned->answer[CANNED_GARBAGE] = fixed(GARBAGE, sizeof GARBAGE - 1);
    if (canned->text[0] && canned->text[1])
        return 0;
    canned_fini(canned);
    return -ENOMEM;
}

void canned_fini(struct canned *canned)
{
    for (size_t i = 0; i < 2; i++) {
        free(canned->text[i]);
        canned->text[i] = NULL;
    }
}

bool canned_is_last(enum canned_kind kind)
{
    return kind >= CANNED_LAST;
}
