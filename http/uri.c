/*
 * uri.c - percent-encoding; see uri.h.
 */
#include "http/uri.h"
#include "http/utf8.h"

#include <errno.h>
#include <limits.h>

/* Take one byte off the text, decoded: 1 to 255, or -EINVAL. */
static int next_byte(struct pf__text *rest, enum pf__uri_part part)
{
    char c = rest->at[0];
    int byte = (unsigned char)c;
    size_t taken = 1;
    if (c == '+' && part == PF__URI_FORM)
        byte = ' ';
    if (c == '%') {
        int high = rest->len > 2 ? pf__hex_digit(rest->at[1]) : -1;
        int low = rest->len > 2 ? pf__hex_digit(rest->at[2]) : -1;
        if (high < 0 || low < 0)
            return -EINVAL;
        byte = high * 16 + low;
        taken = 3;
    }
    *rest = pf__text_skip(*rest, taken);
    return byte ? byte : -EINVAL;
}

int pf__uri_decode(struct pf__text text, enum pf__uri_part part, char *out, size_t size)
{
    size_t len = 0;
    while (text.len > 0) {
        int byte = next_byte(&text, part);
        if (byte < 0)
            return byte;
        if (len + 1 >= size || len >= INT_MAX)
            return -ENOBUFS;
        out[len++] = (char)byte;
    }
    if (size == 0)
        return -ENOBUFS;
    out[len] = '\0';
    return (int)len;
}

/* ---- queries and forms ----------------------------------------------------------- */

bool pf__form_next(struct pf__text *rest, struct pf__text *name, struct pf__text *value)
{
    struct pf__text pair;
    while (pf__text_split(rest, '&', &pair)) {
        if (pair.len == 0)
            continue;
        *name = (struct pf__text){pair.at, pf__text_find(pair, '=')};
        *value = pf__text_skip(pair, name->len + 1);
        return true;
    }
    return false;
}

static bool decodes_to(struct pf__text text, const char *name)
{
    while (text.len > 0) {
        int byte = next_byte(&text, PF__URI_FORM);
        if (byte < 0 || (unsigned char)*name++ != byte)
            return false;
    }
    return !*name;
}

int pf__form_find(struct pf__text *rest, const char *name, char *out, size_t size)
{
    struct pf__text found, value;
    while (pf__form_next(rest, &found, &value))
        if (decodes_to(found, name))
            return pf__uri_decode(value, PF__URI_FORM, out, size);
    return -ENOENT;
}

/* ---- names of files -------------------------------------------------------------- */

/* `segment` is decoded and not the last one, or not empty. */
static int check_segment(struct pf__text segment)
{
    if (segment.len == 0 || pf__text_is_word(segment, ".") ||
        pf__text_is_word(segment, ".."))
        return -EINVAL;
    return segment.at[0] == '.' ? -EACCES : 0;
}

int pf__uri_file_name(struct pf__text path, char *out, size_t size)
{
    size_t len = 0, segment_at = 0;
    if (path.len == 0 || path.at[0] != '/')
        return -EINVAL;
    struct pf__text rest = pf__text_skip(path, 1);
    while (rest.len > 0) {
        bool is_slash = rest.at[0] == '/';
        int byte = next_byte(&rest, PF__URI_PATH);
        if (byte < 0 || byte == '\\' || (byte == '/' && !is_slash))
            return -EINVAL;
        if (len + 1 >= size || len >= INT_MAX)
            return -ENOBUFS;
        int err = is_slash
                      ? check_segment((struct pf__text){out + segment_at, len - segment_at})
                      : 0;
        if (err)
            return err;
        out[len++] = (char)byte;
        if (is_slash)
            segment_at = len;
    }
    if (size == 0)
        return -ENOBUFS;
    out[len] = '\0';
    int err = len > segment_at
                  ? check_segment((struct pf__text){out + segment_at, len - segment_at})
                  : 0;
    if (err)
        return err;
    return pf__utf8_is_valid((struct pf__text){out, len}) ? (int)len : -EILSEQ;
}
