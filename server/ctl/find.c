/* find.c - see find.h. */
#include "server/ctl/find.h"

#include "ipc/ask.h"
#include "master/control.h"

#include <prefork/base.h>

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* More are not looked at: whoever has them names one. */
enum {
    FOUND_MAX = 64
};

struct found {
    char directory[PF__CONTROL_PATH_MAX];
    char names[FOUND_MAX][NAME_MAX + 1];
    size_t count;
};

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* Does a socket of this name belong to a server at the address? */
static bool is_meant(const char *name, const char *address)
{
    char wanted[PF__CONTROL_PATH_MAX];
    if (!address)
        return ends_with(name, PF__CONTROL_SUFFIX);
    pf__control_name(address, wanted, sizeof wanted);
    return address[0] == ':' ? ends_with(name, wanted) : strcmp(name, wanted) == 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void list(struct found *found, const char *address)
{
    DIR *dir = opendir(found->directory);
    for (struct dirent *d = dir ? readdir(dir) : NULL; d && found->count < FOUND_MAX;
         d = readdir(dir))
        if (is_meant(d->d_name, address))
            snprintf(found->names[found->count++], sizeof found->names[0], "%s", d->d_name);
    if (dir)
        closedir(dir);
    qsort(found->names, found->count, sizeof found->names[0], by_name);
}

static bool is_alive(const char *directory, const char *name)
{
    char path[sizeof((struct found *)0)->directory + NAME_MAX + 2];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    int fd = pf__ask_connect(path, PF_SECOND);
    if (fd >= 0)
        close(fd);
    return fd != -ECONNREFUSED; /* one that is slow, or another user's, is alive */
}

static void keep_living(struct found *found)
{
    size_t kept = 0;
    for (size_t i = 0; i < found->count; i++)
        if (is_alive(found->directory, found->names[i]))
            memmove(found->names[kept++], found->names[i], sizeof found->names[0]);
    found->count = kept;
}

static int choose(const struct found *found, char *error)
{
    int n = snprintf(error, CTL_ERROR_MAX,
                     "several servers in %s; choose with --server:", found->directory);
    for (size_t i = 0; i < found->count && n > 0 && n < CTL_ERROR_MAX; i++)
        n += snprintf(error + n, (size_t)(CTL_ERROR_MAX - n), "%s %.*s", i ? "," : "",
                      (int)(strlen(found->names[i]) - strlen(PF__CONTROL_SUFFIX)),
                      found->names[i]);
    return PF_EXIT_USAGE;
}

static int none(const struct found *found, const char *address, char *error)
{
    if (address)
        snprintf(error, CTL_ERROR_MAX,
                 "--server %s: not found; is it running? looked in %s; see --ctl", address,
                 found->directory);
    else
        snprintf(error, CTL_ERROR_MAX,
                 "no server found; is it running? looked in %s; see --ctl",
                 found->directory);
    return PF_EXIT_UNAVAILABLE;
}

int find_socket(const char *address, char *path, size_t path_len, char *error)
{
    struct found found = {.count = 0};
    if (address && !*address) {
        snprintf(error, CTL_ERROR_MAX, "--server '': empty; use the address in the banner");
        return PF_EXIT_USAGE;
    }
    if (pf__control_directory(found.directory, sizeof found.directory) != 0) {
        snprintf(error, CTL_ERROR_MAX,
                 "the runtime directory's name is too long; use --ctl");
        return PF_EXIT_USAGE;
    }
    list(&found, address);
    if (found.count > 1)
        keep_living(&found);
    if (found.count > 1)
        return choose(&found, error);
    if (found.count == 0)
        return none(&found, address, error);
    snprintf(path, path_len, "%s/%s", found.directory, found.names[0]);
    return PF_EXIT_OK;
}
