/*
 * cli_requests.c - what to ask: one request of the options, or a mix of a file.
 */
#include "bench/cli_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Without -b. */
static const char echo_payload[] = "The same again, please, all 48 bytes of this.\r\n";

/* All of a file, to be freed; NULL after saying why. */
static char *read_file(const char *path, size_t *len)
{
    struct stat about;
    char *bytes = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &about) != 0) {
        (void)cli_fail("-b @%s: %s", path, strerror(errno));
    } else if (!S_ISREG(about.st_mode) || about.st_size > REQUESTS_BODY_MAX) {
        (void)cli_fail("-b @%s: must be a file of at most %d bytes", path,
                       REQUESTS_BODY_MAX);
    } else if (!(bytes = malloc((size_t)about.st_size + 1))) {
        (void)cli_fail("out of memory");
    } else if (read(fd, bytes, (size_t)about.st_size) != about.st_size) {
        (void)cli_fail("-b @%s: cannot be read whole", path);
        free(bytes);
        bytes = NULL;
    } else {
        *len = (size_t)about.st_size;
    }
    if (fd >= 0)
        close(fd);
    return bytes;
}

static int make_one(const struct request_line *line, bool raw, struct requests **out)
{
    char why[PHRASE_MAX];
    int err = raw ? requests_raw(line->body ? line->body : echo_payload,
                                 line->body ? line->body_len : sizeof echo_payload - 1, out)
                  : requests_one(line, out, why, sizeof why);
    if (err == -ENOMEM)
        return cli_fail("out of memory");
    return err ? cli_fail("%s", raw ? "-b: must not be empty" : why) : 0;
}

static int read_mix(const struct cli_config *config, const struct request_line *line,
                    struct requests **out)
{
    char why[PHRASE_MAX] = "";
    int err = requests_read(config->requests, line, out, why, sizeof why);
    if (err == 0)
        return 0;
    return cli_fail("--requests %s", why[0] ? why : strerror(-err));
}

int cli_make_requests(const struct cli_config *config, const struct url *url,
                      const char *text, struct requests **out)
{
    bool raw = url->protocol == PLAN_ECHO;
    struct request_line line = {
        .method = config->method ? config->method
                  : config->body ? "POST"
                                 : "GET",
        .target = url->path,
        .authority = url->authority,
        .headers = config->headers.values,
        .header_count = config->headers.count,
        .close = config->no_keepalive,
    };
    if (raw && (config->requests || config->method || config->headers.count ||
                config->expect || config->no_keepalive))
        return cli_fail("%s: no HTTP is spoken there; only -b says what is sent", text);
    char *file = NULL;
    if (config->body && config->body[0] == '@') {
        line.body = file = read_file(config->body + 1, &line.body_len);
        if (!file)
            return EXIT_USAGE;
        line.verbatim = true;
    } else if (config->body) {
        line.body = config->body;
        line.body_len = strlen(config->body);
    }
    int err = config->requests ? read_mix(config, &line, out) : make_one(&line, raw, out);
    free(file);
    return err;
}
