/*
 * cgroup.c - this process's place in the control groups, version 1 and version 2.
 *
 * A container often sees its own group mounted as the root, under which the path as the
 * host knows it is missing: the walk upwards then ends where something can be read.
 */
#include "master/cgroup.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct walk {
    const char *sys_root;
    const char *controller;
    pf__cgroup_fn *visit;
    void *arg;
};

/* ---- reading --------------------------------------------------------------------- */

static FILE *open_in(const char *dir, const char *name)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path)
        return NULL;
    return fopen(path, "re");
}

const char *pf__cgroup_line(const char *dir, const char *name, char *line, int len)
{
    FILE *file = open_in(dir, name);
    if (!file || !fgets(line, len, file))
        line[0] = '\0';
    if (file)
        (void)fclose(file); /* only read */
    return line;
}

int64_t pf__cgroup_count(const char *dir, const char *name, const char *key)
{
    FILE *file = open_in(dir, name);
    if (!file)
        return -1;
    int64_t count = -1;
    size_t len = strlen(key);
    char line[128];
    while (count < 0 && fgets(line, sizeof line, file))
        if (strncmp(line, key, len) == 0 && line[len] == ' ')
            count = strtoll(line + len, NULL, 10);
    (void)fclose(file); /* only read */
    return count;
}

/* ---- walking --------------------------------------------------------------------- */

/* root/mount/path and the directories above it, up to root/mount. */
static bool upwards(const struct walk *walk, const char *mount, const char *path)
{
    char dir[PATH_MAX];
    size_t root_len = strlen(walk->sys_root) + strlen(mount) + 1;
    if (snprintf(dir, sizeof dir, "%s/%s%s", walk->sys_root, mount, path) >=
        (int)sizeof dir)
        return true;
    /* "/" alone, or a slash at the end, would name a directory twice. */
    for (size_t len = strlen(dir); len > root_len && dir[len - 1] == '/'; len--)
        dir[len - 1] = '\0';
    char *slash;
    do {
        if (!walk->visit(dir, walk->arg))
            return false;
        slash = strrchr(dir, '/');
        *slash = '\0';
    } while ((size_t)(slash - dir) >= root_len);
    return true;
}

static bool is_mounted(const struct walk *walk, const char *mount)
{
    char dir[PATH_MAX];
    return snprintf(dir, sizeof dir, "%s/%s", walk->sys_root, mount) < (int)sizeof dir &&
           access(dir, F_OK) == 0;
}

/* Is `name` one of "cpu,cpuacct"? */
static bool lists(const char *controllers, const char *name)
{
    for (const char *at = controllers;; at++) {
        size_t len = strcspn(at, ",");
        if (len == strlen(name) && strncmp(at, name, len) == 0)
            return true;
        at += len;
        if (!*at)
            return false;
    }
}

/* Take one line of /proc/self/cgroup, "id:controllers:path". */
static bool follow(const struct walk *walk, char *line)
{
    line[strcspn(line, "\n")] = '\0';
    char *controllers = strchr(line, ':');
    char *path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!path)
        return true;
    *controllers++ = '\0';
    *path++ = '\0';
    /* Moved out of its cgroup namespace, see cgroup_namespaces(7): nothing above the
     * process can be seen, and what can be seen is not above it. */
    if (strcmp(path, "/..") == 0 || strncmp(path, "/../", strlen("/../")) == 0)
        return true;
    if (!*controllers) /* version 2, alone or beside version 1 */
        return upwards(walk, is_mounted(walk, "unified") ? "unified" : "", path);
    if (!lists(controllers, walk->controller))
        return true;
    /* Version 1, where the controller's own name may be a link to the mount or missing. */
    return upwards(walk, is_mounted(walk, controllers) ? controllers : walk->controller,
                   path);
}

void pf__cgroup_walk(const char *proc_root, const char *sys_root, const char *controller,
                     pf__cgroup_fn *visit, void *arg)
{
    const struct walk walk = {sys_root, controller, visit, arg};
    FILE *file = open_in(proc_root, "cgroup");
    if (!file)
        return;
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, file) >= 0 && follow(&walk, line))
        continue;
    free(line);
    (void)fclose(file); /* only read */
}
