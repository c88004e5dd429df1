/* A result of the document that report_json() wrote, or that somebody else did. */
#include "bench/report.h"

#include "bench/document_read.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- the head ------------------------------------------------------------------------ */

static int read_argv(const struct document_reader *reader, const json_t *tool,
                     struct result *result)
{
    const json_t *array;
    size_t count;
    int err = document_array(reader, tool, "argv", DOCUMENT_ARGS_MAX, &array, &count);
    if (err)
        return err;
    result->argv = calloc(count + 1, sizeof *result->argv);
    if (!result->argv)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        const json_t *word = json_array_get(array, i);
        if (!json_is_string(word))
            return document_refuse(reader, "tool.argv[%zu] must be a string", i);
        err = document_text(word, &result->argv[i]);
        if (err)
            return err;
        result->argc = (int)i + 1;
    }
    return 0;
}

static int read_environment(const struct document_reader *reader, const json_t *root,
                            struct result *result)
{
    const json_t *environment = json_object_get(root, "env");
    if (!environment)
        return 0;
    int err = document_read(reader, environment, "env", document_environment,
                            &result->environment);
    const json_t *sysctl = json_object_get(environment, "sysctl");
    if (!err && sysctl)
        err = document_read(reader, sysctl, "env.sysctl", document_sysctl,
                            &result->environment);
    return err;
}

/* ["10s:1k", "30s:20k"] as one text. */
static int read_stages(const struct document_reader *reader, const json_t *plan,
                       struct result *result)
{
    const json_t *array;
    size_t count, len = 0;
    int err = document_array(reader, plan, "stages", DOCUMENT_TRIALS_MAX, &array, &count);
    if (err || count == 0)
        return err;
    for (size_t i = 0; i < count; i++) {
        if (!json_is_string(json_array_get(array, i)))
            return document_refuse(reader, "plan.stages[%zu] must be a string", i);
        len += json_string_length(json_array_get(array, i)) + 1;
    }
    char *out = result->plan.stages = malloc(len);
    if (!out)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        const json_t *stage = json_array_get(array, i);
        out = mempcpy(out, json_string_value(stage), json_string_length(stage));
        *out++ = i + 1 < count ? ',' : '\0';
    }
    return 0;
}

static int read_plan(const struct document_reader *reader, const json_t *root,
                     struct result *result)
{
    const json_t *plan = json_object_get(root, "plan");
    if (!plan)
        return document_refuse(reader, "there is no plan");
    int err = document_read(reader, plan, "plan", document_plan, &result->plan);
    return err ? err : read_stages(reader, plan, result);
}

static int read_validity(const struct document_reader *reader, const json_t *root,
                         struct result *result)
{
    struct result_validity *validity = &result->validity;
    const json_t *object = json_object_get(root, "validity"), *reasons;
    size_t count;
    int verdict = document_word(json_object_get(object, "verdict"), document_verdicts);
    if (verdict < 0)
        return document_refuse(reader,
                               "validity.verdict must be valid, suspect or invalid");
    validity->verdict = (enum result_verdict)verdict;
    int err =
        document_array(reader, object, "reasons", RESULT_REASONS_MAX, &reasons, &count);
    if (err)
        return err;
    for (size_t i = 0; i < count; i++) {
        const json_t *reason = json_array_get(reasons, i);
        if (!json_is_string(reason) || json_string_length(reason) >= RESULT_REASON_MAX)
            return document_refuse(reader, "validity.reasons[%zu] must be a short string",
                                   i);
        snprintf(validity->reasons[i], RESULT_REASON_MAX, "%s", json_string_value(reason));
    }
    validity->reason_count = (unsigned)count;
    err = document_read(reader, object, "validity", document_validity, validity);
    if (err)
        return err;
    unsigned waited = 0; /* none in a document of a version that did not tell */
    err = document_read_reals(reader, object, "loop_busy", &validity->loop_busy,
                              &validity->loops);
    if (!err)
        err = document_read_reals(reader, object, "loop_waited", &validity->loop_waited,
                                  &waited);
    if (!err && waited && waited != validity->loops)
        return document_refuse(reader, "validity.loop_waited must be as long as loop_busy");
    return err;
}

static int read_totals(const struct document_reader *reader, const json_t *root,
                       struct result *result)
{
    const json_t *totals = json_object_get(root, "totals");
    if (!totals)
        return document_refuse(reader, "there are no totals");
    return document_read(reader, totals, "totals", document_totals, &result->totals);
}

/* ---- the document -------------------------------------------------------------------- */

static int read_document(const struct document_reader *reader, const json_t *root,
                         struct result *result)
{
    static document_part_fn *const parts[] = {read_environment,
                                              read_plan,
                                              read_validity,
                                              read_totals,
                                              document_read_latencies,
                                              document_read_status,
                                              document_read_errors,
                                              document_read_series,
                                              document_read_server,
                                              document_read_slos,
                                              document_read_search,
                                              document_read_hold_and_reload,
                                              document_read_adversaries,
                                              document_read_runs,
                                              document_read_exit};
    const char *schema = json_string_value(json_object_get(root, "schema"));
    if (!schema || strcmp(schema, RESULT_SCHEMA) != 0)
        return document_refuse(reader, "its schema is not " RESULT_SCHEMA);
    int err = read_argv(reader, json_object_get(root, "tool"), result);
    for (size_t i = 0; !err && i < sizeof parts / sizeof parts[0]; i++)
        err = parts[i](reader, root, result);
    return err;
}

/* All of the stream, up to DOCUMENT_MAX; *len is DOCUMENT_MAX + 1 if there is more. */
static int read_all(FILE *from, char **out, size_t *len)
{
    size_t room = 64 * 1024;
    char *text = malloc(room);
    *len = 0;
    errno = 0;
    while (text) {
        *len += fread(text + *len, 1, room - *len, from);
        if (ferror(from)) {
            int err = errno ? -errno : -EIO;
            free(text);
            return err;
        }
        if (*len < room || *len > DOCUMENT_MAX)
            break;
        room = room * 2 <= DOCUMENT_MAX ? room * 2 : DOCUMENT_MAX + 1;
        char *more = realloc(text, room);
        if (!more)
            free(text);
        text = more;
    }
    *out = text;
    return text ? 0 : -ENOMEM;
}

/* What jansson says holds a piece of the document: nothing of it shall reach a terminal but
 * as text. */
static void clean(char *why)
{
    for (; *why; why++)
        if ((unsigned char)*why < 0x20 || (unsigned char)*why >= 0x7F)
            *why = '?';
}

static int parse(const struct document_reader *reader, const char *text, size_t len,
                 json_t **root)
{
    json_error_t error;
    if (len > DOCUMENT_MAX)
        return document_refuse(reader, "longer than %d MiB", DOCUMENT_MAX >> 20);
    *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    if (*root)
        return 0;
    if (json_error_code(&error) == json_error_out_of_memory)
        return -ENOMEM;
    return document_refuse(reader, "line %d: not JSON: %s", error.line, error.text);
}

int report_read_json(FILE *from, struct result **out, char *why, size_t why_len)
{
    const struct document_reader reader = {why, why_len};
    char *text = NULL;
    size_t len;
    int err = read_all(from, &text, &len);
    if (err)
        return err;
    json_t *root = NULL;
    struct result *result = NULL;
    err = parse(&reader, text, len, &root);
    free(text);
    if (!err)
        err = (result = result_new()) ? read_document(&reader, root, result) : -ENOMEM;
    json_decref(root);
    if (!err) {
        *out = result;
        return 0;
    }
    result_free(result);
    if (err == -EINVAL && why_len)
        clean(why);
    return err;
}
