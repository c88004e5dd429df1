/* The series as rows for other programs: CSV with a head, or one JSON object a line. */
#include "bench/report.h"

#include "bench/document.h"
#include <errno.h>
#include <inttypes.h>

static void write_cell(const struct result_row *row, const struct document_field *field,
                       FILE *to)
{
    const char *at = (const char *)row + field->at;
    if (field->type == DOCUMENT_COUNT)
        fprintf(to, "%" PRIu64, *(const uint64_t *)(const void *)at);
    else if (*(const int64_t *)(const void *)at >= 0) /* what is unknown is empty */
        fprintf(to, "%" PRId64, *(const int64_t *)(const void *)at);
}

int report_csv(const struct result *result, FILE *to)
{
    const struct document_field *field;
    for (field = document_row; field->key; field++)
        fprintf(to, "%s%s", field == document_row ? "" : ",", field->key);
    fputc('\n', to);
    for (size_t i = 0; i < result->row_count; i++) {
        for (field = document_row; field->key; field++) {
            if (field != document_row)
                fputc(',', to);
            write_cell(&result->rows[i], field, to);
        }
        fputc('\n', to);
    }
    return ferror(to) ? -EIO : 0;
}

int report_event(const struct result_row *row, FILE *to)
{
    struct json_writer json = {.to = to};
    document_write_row(&json, row);
    fputc('\n', to);
    return ferror(to) ? -EIO : 0;
}

int report_events(const struct result *result, FILE *to)
{
    int err = 0;
    for (size_t i = 0; !err && i < result->row_count; i++)
        err = report_event(&result->rows[i], to);
    return err;
}
