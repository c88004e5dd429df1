/* expect.c - see expect.h. The text is looked for with the Knuth-Morris-Pratt algorithm,
 * whose state between two pieces is one number. */
#include "bench/expect.h"
#include "bench/tally.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

/* No part is longer: each byte of a text may have a backslash before it. */
#define PART_MAX (2 * EXPECT_TEXT_MAX + 16)

/* ---- parsing ----------------------------------------------------------------------- */

static int refuse(char *why, size_t why_len, const char *what)
{
    snprintf(why, why_len, "%s", what);
    return -EINVAL;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "200" or "2xx": a status, or a class. 0: neither. */
static unsigned parse_status(const char *text, size_t len)
{
    if (len != 3 || text[0] < '1' || text[0] > '5')
        return 0;
    unsigned first = (unsigned)(text[0] - '0');
    if ((text[1] == 'x' || text[1] == 'X') && (text[2] == 'x' || text[2] == 'X'))
        return first;
    if (!is_digit(text[1]) || !is_digit(text[2]))
        return 0;
    return first * 100 + (unsigned)(text[1] - '0') * 10 + (unsigned)(text[2] - '0');
}

static int parse_statuses(const char *text, struct expect *out, char *why, size_t why_len)
{
    if (out->status_count)
        return refuse(why, why_len, "status stands twice; write status=200|304");
    for (;;) {
        size_t len = strcspn(text, "|");
        unsigned status = parse_status(text, len);
        if (!status)
            return refuse(why, why_len,
                          "status must be like 200, 2xx or 200|304, from 100 to 599");
        if (out->status_count == EXPECT_STATUS_MAX)
            return refuse(why, why_len, "status has more than 8 values; use a class: 2xx");
        out->status[out->status_count++] = status;
        if (!text[len])
            return 0;
        text += len + 1;
    }
}

static int parse_len(const char *text, struct expect *out, char *why, size_t why_len)
{
    int64_t len = 0;
    if (out->len >= 0)
        return refuse(why, why_len, "len stands twice; a body has one length");
    if (!*text)
        return refuse(why, why_len, "len must be a number of bytes: len=13");
    for (; *text; text++)
        if (!is_digit(*text) || __builtin_mul_overflow(len, 10, &len) ||
            __builtin_add_overflow(len, *text - '0', &len))
            return refuse(why, why_len, "len must be a number of bytes: len=13");
    out->len = len;
    return 0;
}

/* For each prefix of the text: how long the longest other prefix is that also ends it. */
static void set_borders(struct expect *out)
{
    uint16_t border = 0;
    out->border[0] = 0;
    for (size_t i = 1; i < out->text_len; i++) {
        while (border && out->text[i] != out->text[border])
            border = out->border[border - 1];
        if (out->text[i] == out->text[border])
            border++;
        out->border[i] = border;
    }
}

static int parse_body(const char *text, struct expect *out, char *why, size_t why_len)
{
    if (out->text_len)
        return refuse(why, why_len, "body stands twice; one text can be looked for");
    if (*text != '~' || !text[1])
        return refuse(why, why_len, "body must be ~ and a text that it holds: body=~ok");
    size_t len = strlen(++text);
    if (len >= EXPECT_TEXT_MAX)
        return refuse(why, why_len, "body has too long a text; use at most 127 bytes");
    memcpy(out->text, text, len + 1);
    out->text_len = len;
    set_borders(out);
    return 0;
}

/* text: NULL for a bare "hash". */
static int parse_hash(const char *text, struct expect *out, char *why, size_t why_len)
{
    static const char digits[] = "0123456789abcdef";
    if (out->hash)
        return refuse(why, why_len, "hash stands twice; a body has one");
    out->hash = true;
    if (!text)
        return 0;
    size_t len = strlen(text);
    if (len == 0 || len > 8)
        return refuse(why, why_len, "hash must be a CRC-32 of 1 to 8 hexadecimal digits");
    for (; *text; text++) {
        const char *digit =
            strchr(digits, *text >= 'A' && *text <= 'F' ? *text + 32 : *text);
        if (!digit)
            return refuse(why, why_len,
                          "hash must be a CRC-32 of 1 to 8 hexadecimal digits");
        out->hash_value = out->hash_value << 4 | (uint32_t)(digit - digits);
    }
    out->hash_given = true;
    return 0;
}

static int parse_part(const char *part, struct expect *out, char *why, size_t why_len)
{
    if (strncmp(part, "status=", 7) == 0)
        return parse_statuses(part + 7, out, why, why_len);
    if (strncmp(part, "len=", 4) == 0)
        return parse_len(part + 4, out, why, why_len);
    if (strncmp(part, "body=", 5) == 0)
        return parse_body(part + 5, out, why, why_len);
    if (strcmp(part, "hash") == 0)
        return parse_hash(NULL, out, why, why_len);
    if (strncmp(part, "hash=", 5) == 0)
        return parse_hash(part + 5, out, why, why_len);
    return refuse(why, why_len,
                  "must be status=200, len=13, body=~text, hash or hash=9a3f12cd, with "
                  "commas between");
}

/* Cut the part up to the next comma off, without its backslashes. Returns false if it is
 * too long to be one. */
static bool next_part(const char **text, char part[PART_MAX])
{
    const char *at = *text;
    size_t len = 0;
    for (; *at && *at != ','; at++) {
        if (*at == '\\' && (at[1] == ',' || at[1] == '\\'))
            at++;
        if (len + 1 == PART_MAX)
            return false;
        part[len++] = *at;
    }
    part[len] = 0;
    *text = at;
    return true;
}

int expect_parse(const char *text, struct expect *out, char *why, size_t why_len)
{
    struct expect expect = {.len = -1};
    for (;;) {
        char part[PART_MAX];
        if (!next_part(&text, part))
            return refuse(why, why_len,
                          "has too long a part; a text has at most 127 bytes");
        int err = parse_part(part, &expect, why, why_len);
        if (err)
            return err;
        if (!*text)
            break;
        text++;
    }
    *out = expect;
    return 0;
}

/* ---- checking ---------------------------------------------------------------------- */

void expect_begin(struct expect_check *check)
{
    *check = (struct expect_check){0};
}

static void look_for_text(const struct expect *expect, struct expect_check *check,
                          const char *bytes, size_t len)
{
    size_t matched = check->matched;
    for (size_t i = 0; i < len; i++) {
        if (matched == 0) {
            const char *start = memchr(bytes + i, expect->text[0], len - i);
            if (!start)
                break;
            i = (size_t)(start - bytes);
        }
        while (matched && bytes[i] != expect->text[matched])
            matched = expect->border[matched - 1];
        if (bytes[i] == expect->text[matched])
            matched++;
        if (matched == expect->text_len) {
            check->found = true;
            return;
        }
    }
    check->matched = (uint16_t)matched;
}

void expect_body(const struct expect *expect, struct expect_check *check, const char *bytes,
                 size_t len)
{
    check->len += len;
    if (expect->text_len && !check->found)
        look_for_text(expect, check, bytes, len);
    if (expect->hash)
        check->hash = (uint32_t)crc32_z(check->hash, (const unsigned char *)bytes, len);
}

static bool is_status(const struct expect *expect, unsigned status)
{
    for (unsigned i = 0; i < expect->status_count; i++)
        if (expect->status[i] == status || expect->status[i] == status / 100)
            return true;
    return expect->status_count == 0 && status < 400;
}

static bool is_hash(const struct expect *expect, uint32_t hash, int64_t *first)
{
    if (expect->hash_given)
        return hash == expect->hash_value;
    int64_t known = __atomic_load_n(first, __ATOMIC_RELAXED);
    if (known < 0 && __atomic_compare_exchange_n(first, &known, (int64_t)hash, false,
                                                 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        return true;
    return hash == (uint64_t)known;
}

int expect_end(const struct expect *expect, const struct expect_check *check,
               unsigned status, bool head, int64_t *first)
{
    if (!is_status(expect, status))
        return TALLY_STATUS;
    if (head || status == 304)
        return 0;
    if (expect->len >= 0 && check->len != (uint64_t)expect->len)
        return TALLY_LENGTH;
    if (expect->text_len && !check->found)
        return TALLY_BODY;
    if (expect->hash && !is_hash(expect, check->hash, first))
        return TALLY_HASH;
    return 0;
}
