/* Reading a document back: the server, the goals, and what only some modes have. */
#include "bench/document_read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int document_read_server(const struct document_reader *reader, const json_t *root,
                         struct result *result)
{
    static const struct document_array workers = {"workers", DOCUMENT_WORKERS_MAX,
                                                  sizeof(struct result_worker),
                                                  document_worker, NULL};
    const json_t *server = json_object_get(root, "server");
    if (!server)
        return 0;
    int source = document_word(json_object_get(server, "source"), document_sources);
    if (source < 0)
        return document_refuse(reader, "server.source must be none, proc or stats");
    result->server.source = (enum result_source)source;
    int err = document_read(reader, server, "server", document_server, &result->server);
    if (err)
        return err;
    void *memory = NULL;
    size_t count = 0;
    err = document_read_array(reader, server, &workers, &memory, &count);
    result->server.workers = memory;
    result->server.worker_count = (unsigned)count;
    return err;
}

/* ---- other modes --------------------------------------------------------------------- */

int document_read_slos(const struct document_reader *reader, const json_t *root,
                       struct result *result)
{
    static const struct document_array form = {
        "slo", RESULT_SLOS_MAX, sizeof(struct result_slo), document_slo, NULL};
    return document_read_array_into(reader, root, &form, result->slos, &result->slo_count);
}

/* A part that only some modes have: its memory, or NULL if it is not there. */
static int read_part(const struct document_reader *reader, const json_t *root,
                     const char *key, size_t size, const struct document_field *table,
                     void **part)
{
    const json_t *object = json_object_get(root, key);
    if (!object || json_is_null(object))
        return 0;
    *part = calloc(1, size);
    if (!*part)
        return -ENOMEM;
    return document_read(reader, object, key, table, *part);
}

int document_read_search(const struct document_reader *reader, const json_t *root,
                         struct result *result)
{
    static const struct document_array trials = {
        "trials", DOCUMENT_TRIALS_MAX, sizeof(struct result_trial), document_trial, NULL};
    void *memory = NULL;
    int err =
        read_part(reader, root, "search", sizeof *result->search, document_search, &memory);
    result->search = memory;
    if (err || !memory)
        return err;
    void *entries = NULL;
    size_t count = 0;
    err = document_read_array(reader, json_object_get(root, "search"), &trials, &entries,
                              &count);
    result->search->trials = entries;
    result->search->trial_count = (unsigned)count;
    return err;
}

int document_read_hold_and_reload(const struct document_reader *reader, const json_t *root,
                                  struct result *result)
{
    void *memory = NULL;
    int err = read_part(reader, root, "hold", sizeof *result->hold, document_hold, &memory);
    result->hold = memory;
    if (err)
        return err;
    memory = NULL;
    err =
        read_part(reader, root, "reload", sizeof *result->reload, document_reload, &memory);
    result->reload = memory;
    return err;
}

int document_read_adversaries(const struct document_reader *reader, const json_t *root,
                              struct result *result)
{
    static const struct document_array form = {"adversaries", RESULT_ADVERSARIES_MAX,
                                               sizeof(struct result_adversary),
                                               document_adversary, NULL};
    void *memory = NULL;
    size_t count = 0;
    int err = document_read_array(reader, root, &form, &memory, &count);
    result->adversaries = memory;
    result->adversary_count = (unsigned)count;
    return err;
}

static int read_run(const struct document_reader *reader, const json_t *entry,
                    const char *place, void *at)
{
    static const char *const sides[] = {"A", "B", NULL};
    struct result_run *run = at;
    int side = document_word(json_object_get(entry, "side"), sides);
    int verdict = document_word(json_object_get(entry, "verdict"), document_verdicts);
    if (side < 0 || verdict < 0)
        return document_refuse(reader, "%s: side must be A or B, verdict one of ours",
                               place);
    run->side = sides[side][0];
    run->verdict = (enum result_verdict)verdict;
    return 0;
}

int document_read_runs(const struct document_reader *reader, const json_t *root,
                       struct result *result)
{
    static const struct document_array form = {
        "repeat", DOCUMENT_RUNS_MAX, sizeof(struct result_run), document_run, read_run};
    void *memory = NULL;
    size_t count = 0;
    int err = document_read_array(reader, root, &form, &memory, &count);
    result->runs = memory;
    result->run_count = (unsigned)count;
    return err;
}

int document_read_exit(const struct document_reader *reader, const json_t *root,
                       struct result *result)
{
    const json_t *object = json_object_get(root, "exit");
    int64_t code;
    const char *why = json_string_value(json_object_get(object, "why"));
    if (!document_signed(json_object_get(object, "code"), &code) || code < 0 || code > 255)
        return document_refuse(reader, "exit.code must be a number from 0 to 255");
    if (!why || strlen(why) >= sizeof result->exit_why)
        return document_refuse(reader, "exit.why must be a short string");
    result->exit_code = (int)code;
    snprintf(result->exit_why, sizeof result->exit_why, "%s", why);
    return 0;
}
