/*
 * fuzz_bench_document.c - documents of prefork-bench: what is read can be shown in every
 * form, and is the same again when it has been written and read.
 *
 * A libFuzzer target; test_bench_report.c includes it and replays the corpus. The input is
 * a document.
 */
#include "bench/report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void document_must(bool holds)
{
    if (!holds)
        abort();
}

static int document_read(const void *bytes, size_t len, struct result **out)
{
    char why[256] = "";
    FILE *from =
        len ? fmemopen((void *)(uintptr_t)bytes, len, "r") : fopen("/dev/null", "re");
    document_must(from != NULL);
    int err = report_read_json(from, out, why, sizeof why);
    fclose(from);
    document_must(err == 0 || err == -EINVAL || err == -ENOMEM);
    document_must(err != -EINVAL || (why[0] && !strchr(why, '\n')));
    return err;
}

static char *document_written(const struct result *result, size_t *len)
{
    char *text = NULL;
    FILE *to = open_memstream(&text, len);
    document_must(to != NULL);
    document_must(report_json(result, to) == 0);
    document_must(fclose(to) == 0);
    return text;
}

static void document_show(const struct result *result)
{
    static const struct report_style styles[] = {
        {.utf8 = true, .colour = true}, {.plain = true}, {.quiet = true}, {.utf8 = false}};
    FILE *to = fopen("/dev/null", "we");
    document_must(to != NULL);
    for (size_t i = 0; i < sizeof styles / sizeof styles[0]; i++)
        document_must(report_text(result, &styles[i], to) == 0);
    document_must(report_csv(result, to) == 0);
    document_must(report_events(result, to) == 0);
    document_must(report_hlog(result, to) == 0);
    document_must(report_hgrm(result, to) == 0);
    document_must(report_html(result, result, to) == 0);
    fclose(to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct result *result, *again;
    if (document_read(data, size, &result) != 0)
        return 0;
    document_show(result);
    size_t len, again_len;
    char *text = document_written(result, &len);
    document_must(document_read(text, len, &again) == 0);
    char *text_again = document_written(again, &again_len);
    document_must(len == again_len && memcmp(text, text_again, len) == 0);
    free(text_again);
    free(text);
    result_free(again);
    result_free(result);
    return 0;
}
