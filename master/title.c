/* title.c - see title.h. */
#include "master/title.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    char *area; /* NULL: not found yet */
    size_t args_len, len;
    char *before;      /* what stood there; NULL: not open */
    char *environment; /* what has been moved away: kept, for others point to it */
    char *name;        /* the same */
} title;

/* ---- where the arguments are ----------------------------------------------------- */

struct bounds {
    unsigned long arg_start, arg_end, env_start, env_end;
};

/* Fields 48 to 51; the name of the process, the second, may hold anything. */
static bool read_bounds(struct bounds *bounds)
{
    char text[2048];
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    if (fd == -1)
        return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    char *at = strrchr(text, ')');
    for (int field = 2; at && field < 48; field++)
        at = strchr(at + 1, ' ');
    return at && sscanf(at, " %lu %lu %lu %lu", &bounds->arg_start, &bounds->arg_end,
                        &bounds->env_start, &bounds->env_end) == 4;
}

static int find(void)
{
    struct bounds bounds;
    char *first = program_invocation_name; /* argv[0], as main() got it */
    if (!read_bounds(&bounds) || (unsigned long)(uintptr_t)first != bounds.arg_start ||
        bounds.arg_end <= bounds.arg_start)
        return -ENOTSUP;
    title.area = first;
    title.args_len = title.len = bounds.arg_end - bounds.arg_start;
    if (bounds.env_start == bounds.arg_end && bounds.env_end > bounds.env_start)
        title.len = bounds.env_end - bounds.arg_start;
    return 0;
}

/* ---- moving away ----------------------------------------------------------------- */

static bool is_inside(const char *text)
{
    return (uintptr_t)text >= (uintptr_t)title.area &&
           (uintptr_t)text < (uintptr_t)title.area + title.len;
}

static int move_name(void)
{
    if (!is_inside(program_invocation_name))
        return 0;
    title.name = strdup(program_invocation_name);
    if (!title.name)
        return -ENOMEM;
    program_invocation_name = title.name;
    char *slash = strrchr(title.name, '/');
    program_invocation_short_name = slash ? slash + 1 : title.name;
    return 0;
}

/* All in one piece: at most as long as what there is. */
static int move_environment(void)
{
    size_t len = 0;
    for (char **at = environ; at && *at; at++)
        if (is_inside(*at))
            len += strlen(*at) + 1;
    if (len == 0)
        return 0;
    char *copy = title.environment = malloc(len);
    if (!copy)
        return -ENOMEM;
    for (char **at = environ; *at; at++)
        if (is_inside(*at)) {
            size_t size = strlen(*at) + 1;
            *at = memcpy(copy, *at, size);
            copy += size;
        }
    return 0;
}

/* ---- use ------------------------------------------------------------------------- */

int pf__title_open(void)
{
    if (title.before)
        return 0;
    int err = title.area ? 0 : find();
    if (!err)
        err = move_name();
    if (err)
        return err;
    if (move_environment() != 0)
        title.len = title.args_len; /* a short one, then */
    title.before = malloc(title.len);
    if (!title.before)
        return -ENOMEM;
    memcpy(title.before, title.area, title.len);
    return 0;
}

/* What is shown: up to the end of the arguments, and on to the first NUL if the last byte
 * of theirs is none. */
void pf__title_set(const char *format, ...)
{
    if (!title.before)
        return;
    char text[PF__TITLE_MAX];
    int n = snprintf(text, sizeof text, "%s: ", program_invocation_short_name);
    va_list args;
    va_start(args, format);
    if (n > 0 && (size_t)n < sizeof text)
        vsnprintf(text + n, sizeof text - (size_t)n, format, args);
    va_end(args);
    size_t len = strlen(text);
    if (len >= title.len)
        len = title.len - 1;
    memcpy(title.area, text, len);
    memset(title.area + len, 0, title.len - len);
}

void pf__title_close(void)
{
    if (!title.before)
        return;
    memcpy(title.area, title.before, title.len);
    free(title.before);
    title.before = NULL;
}
