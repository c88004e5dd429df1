/*
 * regex.c - regular expressions for paths; see regex.h.
 */
#include "http/regex.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef PF__HAVE_PCRE2

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

struct pf__regex {
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *limits;
};

/* What a failed compilation means, in words. */
static int refuse(int error, size_t at, char *why, size_t why_len)
{
    PCRE2_UCHAR text[120] = "";
    if (error == PCRE2_ERROR_HEAP_FAILED)
        return -ENOMEM;
    (void)pcre2_get_error_message(error, text, sizeof text); /* cut short if it must be */
    snprintf(why, why_len, "%s, at byte %zu", (const char *)text, at);
    return -EINVAL;
}

static int compile(struct pf__regex *regex, const char *expression, char *why,
                   size_t why_len)
{
    int error;
    size_t at;
    uint32_t groups = 0;
    regex->code = pcre2_compile((PCRE2_SPTR)expression, PCRE2_ZERO_TERMINATED,
                                PCRE2_ANCHORED | PCRE2_ENDANCHORED, &error, &at, NULL);
    if (!regex->code)
        return refuse(error, at, why, why_len);
    (void)pcre2_pattern_info(regex->code, PCRE2_INFO_CAPTURECOUNT, &groups);
    if (groups > PF__PATTERN_CAPTURES_MAX) {
        snprintf(why, why_len, "more than %d groups", PF__PATTERN_CAPTURES_MAX);
        return -EINVAL;
    }
    regex->data = pcre2_match_data_create_from_pattern(regex->code, NULL);
    regex->limits = pcre2_match_context_create(NULL);
    if (!regex->data || !regex->limits)
        return -ENOMEM;
    (void)pcre2_set_match_limit(regex->limits, PF__REGEX_STEPS_MAX);
    return 0;
}

int pf__regex_new(const char *expression, char *why, size_t why_len, struct pf__regex **out)
{
    struct pf__regex *regex = calloc(1, sizeof *regex);
    if (!regex)
        return -ENOMEM;
    int err = compile(regex, expression, why, why_len);
    if (err)
        pf__regex_free(regex);
    else
        *out = regex;
    return err;
}

void pf__regex_free(struct pf__regex *regex)
{
    if (!regex)
        return;
    pcre2_match_context_free(regex->limits);
    pcre2_match_data_free(regex->data);
    pcre2_code_free(regex->code);
    free(regex);
}

static int error_of(int result)
{
    if (result == PCRE2_ERROR_NOMATCH)
        return -ENOENT;
    return result == PCRE2_ERROR_NOMEMORY ? -ENOMEM : -E2BIG;
}

int pf__regex_match(struct pf__regex *regex, struct pf__text path,
                    struct pf__captures *captures)
{
    PCRE2_SPTR subject = (PCRE2_SPTR)(path.len > 0 ? path.at : "");
    int result =
        pcre2_match(regex->code, subject, path.len, 0, 0, regex->data, regex->limits);
    if (result < 0)
        return error_of(result);
    const size_t *ends = pcre2_get_ovector_pointer(regex->data);
    size_t count = pcre2_get_ovector_count(regex->data) - 1; /* the first is all of it */
    captures->count = count;
    for (size_t i = 0; i < count; i++) {
        size_t from = ends[2 * i + 2], to = ends[2 * i + 3];
        bool took_part = from != PCRE2_UNSET && from <= to;
        captures->at[i] = took_part ? (struct pf__text){path.at + from, to - from}
                                    : (struct pf__text){NULL, 0};
    }
    return 0;
}

#else

int pf__regex_new(const char *expression, char *why, size_t why_len, struct pf__regex **out)
{
    (void)expression, (void)out;
    snprintf(why, why_len, "built without PCRE2");
    return -ENOTSUP;
}

void pf__regex_free(struct pf__regex *regex)
{
    (void)regex;
}

int pf__regex_match(struct pf__regex *regex, struct pf__text path,
                    struct pf__captures *captures)
{
    (void)regex, (void)path, (void)captures;
    return -ENOTSUP;
}

#endif
