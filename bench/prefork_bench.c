/*
 * prefork-bench - a closed-loop load generator for HTTP/1.1 in the habits of wrk.
 *
 *     command line --> struct plan (url.c, here) --> run_plan (run.c: threads)
 *         each thread: client.c (connections, http/parser.h) --> tally.c, hdr.c
 *     sum of tallies --> report.c
 *
 * It never invents samples, says in its first row whether it was itself the bottleneck, and
 * tells requests that were lost from connections that closed harmlessly.
 */
#include "bench/report.h"
#include "bench/run.h"
#include "bench/url.h"
#include <errno.h>
#include <prefork/options.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <unistd.h>

enum exit_status {
    EXIT_RUN_OK = 0,
    EXIT_USAGE = 1,
    EXIT_NO_SUCCESS = 2,
    EXIT_INTERRUPTED = 130,
};

#define CONNECTIONS_MAX 1000000
#define THREADS_MAX     256
#define PIPELINE_MAX    1024

/* Descriptors beside the connections: standard ones, and a poller and a pipe per loop. */
#define FDS_BESIDE     16
#define FDS_PER_THREAD 4

struct config {
    int64_t connections, threads, duration_ns, requests, timeout_ns, pipeline;
    struct pf_option_list headers;
    bool latency, help, version;
};

static const struct pf_option options[] = {
    {.name = "connections",
     .letter = 'c',
     .type = PF_OPTION_INT,
     .at = offsetof(struct config, connections),
     .min = 1,
     .max = CONNECTIONS_MAX,
     .argument = "N",
     .help = "connections kept open, over all threads (64)"},
    {.name = "threads",
     .letter = 't',
     .type = PF_OPTION_INT,
     .at = offsetof(struct config, threads),
     .min = 1,
     .max = THREADS_MAX,
     .argument = "N",
     .help = "threads, each with a loop of its own (1)"},
    {.name = "duration",
     .letter = 'd',
     .type = PF_OPTION_DURATION,
     .at = offsetof(struct config, duration_ns),
     .min = PF_MILLISECOND,
     .max = 1000 * 3600 * PF_SECOND,
     .argument = "TIME",
     .help = "how long: 500ms, 10s, 5m, 1h (10s)"},
    {.name = "requests",
     .letter = 'n',
     .type = PF_OPTION_INT,
     .at = offsetof(struct config, requests),
     .min = 1,
     .max = INT64_MAX,
     .argument = "N",
     .help = "how many requests, failed ones included, instead of -d"},
    {.name = "header",
     .letter = 'H',
     .type = PF_OPTION_LIST,
     .at = offsetof(struct config, headers),
     .argument = "'K: V'",
     .help = "send this header field; repeatable"},
    {.name = "timeout",
     .type = PF_OPTION_DURATION,
     .at = offsetof(struct config, timeout_ns),
     .min = PF_MILLISECOND,
     .max = 3600 * PF_SECOND,
     .argument = "TIME",
     .help = "give up an answer or a connect after this (2s)"},
    {.name = "pipeline",
     .type = PF_OPTION_INT,
     .at = offsetof(struct config, pipeline),
     .min = 1,
     .max = PIPELINE_MAX,
     .argument = "N",
     .help = "requests sent at once on a connection (1)"},
    {.name = "latency",
     .type = PF_OPTION_FLAG,
     .at = offsetof(struct config, latency),
     .help = "accepted for wrk's sake: percentiles are always shown"},
    {.name = "help",
     .letter = 'h',
     .type = PF_OPTION_FLAG,
     .at = offsetof(struct config, help),
     .help = "show this and exit"},
    {.name = "version",
     .letter = 'v',
     .type = PF_OPTION_FLAG,
     .at = offsetof(struct config, version),
     .help = "show the version and exit"},
    {0},
};

static int fail(const char *format, ...) PF_PRINTF(1, 2);

/* Say in one line what is wrong. Returns -EINVAL. */
static int fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("prefork-bench: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return -EINVAL;
}

/* ---- from the command line to the plan ------------------------------------------- */

static void print_help(void)
{
    printf("usage: prefork-bench [options] http://HOST[:PORT][/PATH]\n\n"
           "Load an HTTP/1.1 server and say how fast it answered.\n\n");
    pf_options_help(options, stdout);
    printf("\nExit status: 0 done; 1 wrong usage; 2 nothing succeeded; 130 interrupted.\n");
}

/* Options may follow the URL, as wrk allows. Returns 0 or -EINVAL after saying why. */
static int parse_command_line(int argc, char **argv, struct config *config,
                              const char **url)
{
    char error[PF_OPTION_ERROR_MAX];
    *url = NULL;
    int at = 0;
    for (;;) {
        /* What stands at `at` was dealt with, like the program's name. */
        int used = pf_options_parse(options, config, argc - at, argv + at, error);
        if (used < 0)
            return fail("%s", error);
        at += used;
        if (at >= argc)
            return 0;
        if (*url)
            return fail("%s: one URL is enough; %s came before", argv[at], *url);
        *url = argv[at];
    }
}

static bool is_token_char(char c)
{
    return c > ' ' && c <= '~' && !strchr("()<>@,;:\\\"/[]?={}", c); /* RFC 9110 5.6.2 */
}

static int check_header(const char *header)
{
    size_t name_len = 0;
    while (is_token_char(header[name_len]))
        name_len++;
    if (name_len == 0 || header[name_len] != ':')
        return fail("-H '%s': must be 'Name: value'", header);
    if (strpbrk(header, "\r\n"))
        return fail("-H '%.*s: ...': must be one line", (int)name_len, header);
    return 0;
}

static bool has_host(const struct pf_option_list *headers)
{
    for (size_t i = 0; i < headers->count; i++)
        if (strncasecmp(headers->values[i], "Host:", 5) == 0)
            return true;
    return false;
}

/* The request's bytes, to be freed. NULL without memory. */
static char *write_request(const struct config *config, const struct url *url, size_t *len)
{
    char *request = NULL;
    FILE *to = open_memstream(&request, len);
    if (!to)
        return NULL;
    fprintf(to, "GET %s HTTP/1.1\r\n", url->path);
    if (!has_host(&config->headers))
        fprintf(to, "Host: %s\r\n", url->authority);
    for (size_t i = 0; i < config->headers.count; i++)
        fprintf(to, "%s\r\n", config->headers.values[i]);
    fputs("\r\n", to);
    if (fclose(to) == 0)
        return request;
    free(request);
    return NULL;
}

static int write_batch(struct plan *plan, const struct config *config,
                       const struct url *url)
{
    char *request = write_request(config, url, &plan->request_len);
    if (!request)
        return fail("out of memory");
    plan->batch_len = plan->request_len * plan->pipeline;
    plan->batch = malloc(plan->batch_len);
    for (unsigned i = 0; plan->batch && i < plan->pipeline; i++)
        memcpy(plan->batch + i * plan->request_len, request, plan->request_len);
    free(request);
    return plan->batch ? 0 : fail("out of memory");
}

static bool answers(const struct pf_address *address, int64_t timeout_ns)
{
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    /* It bounds connect(2) too. */
    struct timeval limit = {.tv_sec = timeout_ns / PF_SECOND,
                            .tv_usec = timeout_ns % PF_SECOND / PF_MICROSECOND};
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    bool ok = connect(fd, (const struct sockaddr *)&address->storage, address->len) == 0;
    close(fd);
    return ok;
}

/* The first of the name's addresses that answers, tried in turn; the last is taken unasked,
 * so that a literal costs the server no extra connection. */
static int find_target(const struct url *url, int64_t timeout_ns, struct plan *plan)
{
    struct pf_address found[PF_ADDRESSES_MAX];
    char why[PF_OPTION_ERROR_MAX];
    int count = pf_address_parse(url->address, found, why, sizeof why);
    if (count < 0)
        return fail("%s: %s", plan->url, why);
    int i = 0;
    while (i < count - 1 && !answers(&found[i], timeout_ns))
        i++;
    if (pf_address_port(&found[i]) == 0)
        return fail("%s: the port must be 1 to 65535", plan->url);
    plan->target = found[i];
    return 0;
}

/* Descriptors as many as there may be; refuse what they cannot be enough for. */
static int make_room(const struct config *config)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0; /* then connecting will tell */
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* raising the soft limit is always allowed */
    int64_t wanted = config->connections + config->threads * FDS_PER_THREAD + FDS_BESIDE;
    if ((rlim_t)wanted <= limit.rlim_cur)
        return 0;
    return fail(
        "-c %lld: only %llu descriptors are allowed; raise `ulimit -n` or ask for fewer",
        (long long)config->connections, (unsigned long long)limit.rlim_cur);
}

static int check_config(const struct config *config, const char *url)
{
    if (!url)
        return fail("which server? give a URL such as http://127.0.0.1:8888/");
    if (config->duration_ns && config->requests)
        return fail("-d and -n: give one of them, a duration or a number of requests");
    if (config->threads > config->connections)
        return fail("-t %lld: more threads than connections; give at least -c %lld",
                    (long long)config->threads, (long long)config->threads);
    for (size_t i = 0; i < config->headers.count; i++)
        if (check_header(config->headers.values[i]) != 0)
            return -EINVAL;
    return 0;
}

static int make_plan(const struct config *config, const char *text, struct plan *plan)
{
    struct url url;
    char why[PF_OPTION_ERROR_MAX];
    int err = check_config(config, text);
    if (err)
        return err;
    if (url_parse(text, &url, why, sizeof why) != 0)
        return fail("%s: %s", text, why);
    err = make_room(config);
    if (err)
        return err;
    *plan = (struct plan){
        .url = text,
        .connections = (unsigned)config->connections,
        .threads = (unsigned)config->threads,
        .pipeline = (unsigned)config->pipeline,
        .requests = (uint64_t)config->requests,
        .timeout_ns = config->timeout_ns,
    };
    if (!config->requests)
        plan->duration_ns = config->duration_ns ? config->duration_ns : 10 * PF_SECOND;
    err = find_target(&url, config->timeout_ns, plan);
    if (err)
        return err;
    return write_batch(plan, config, &url);
}

/* ---- and on to the report -------------------------------------------------------- */

static int measure(const struct plan *plan)
{
    static struct run_result result; /* large */
    const struct tally *tally = &result.tally;
    int err = run_plan(plan, &result);
    if (err) {
        (void)fail("cannot run: %s", strerror(-err));
        return EXIT_NO_SUCCESS;
    }
    if (!result.interrupted && tally->connect.count == 0) {
        char address[PF_ADDRESS_TEXT_MAX];
        (void)fail("cannot connect to %s: %s", pf_address_format(&plan->target, address),
                   strerror(tally->error_count ? tally->errors[0].error : ETIMEDOUT));
        return EXIT_NO_SUCCESS;
    }
    report_print(stdout, plan, tally);
    if (fflush(stdout) != 0) {
        (void)fail("cannot write the summary: %s", strerror(errno));
        return PF_EXIT_SOFTWARE;
    }
    if (result.interrupted)
        return EXIT_INTERRUPTED;
    return tally->ok ? EXIT_RUN_OK : EXIT_NO_SUCCESS;
}

int main(int argc, char **argv)
{
    struct config config = {
        .connections = 64, .threads = 1, .timeout_ns = 2 * PF_SECOND, .pipeline = 1};
    struct plan plan;
    const char *url;
    if (parse_command_line(argc, argv, &config, &url) != 0)
        return EXIT_USAGE;
    if (config.help) {
        print_help();
        return EXIT_RUN_OK;
    }
    if (config.version) {
        printf("prefork-bench %s\n", pf_version());
        return EXIT_RUN_OK;
    }
    if (make_plan(&config, url, &plan) != 0)
        return EXIT_USAGE;
    int status = measure(&plan);
    free(plan.batch);
    return status;
}
