#include "tests/lib/test.h"

#include "tests/lib/tree.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char pf_tree_root[] = "/tmp/prefork-tree-XXXXXX";
char pf_tree_proc[PATH_MAX], pf_tree_sys[PATH_MAX];

int pf_tree_setup(void **state)
{
    memcpy(pf_tree_root + strlen(pf_tree_root) - 6, "XXXXXX", 6);
    if (!mkdtemp(pf_tree_root))
        return -1;
    (void)snprintf(pf_tree_proc, sizeof pf_tree_proc, "%s/proc", pf_tree_root);
    (void)snprintf(pf_tree_sys, sizeof pf_tree_sys, "%s/sys", pf_tree_root);
    return pf_test_setup(state);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

int pf_tree_teardown(void **state)
{
    int failed = nftw(pf_tree_root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return pf_test_teardown(state) || failed ? -1 : 0;
}

/* The path of a file of the tree, whose folders are made. */
static void lead_to(const char *name, char path[PATH_MAX])
{
    (void)snprintf(path, PATH_MAX, "%s/%s", pf_tree_root, name);
    for (char *at = path + strlen(pf_tree_root); (at = strchr(at + 1, '/'));) {
        *at = '\0';
        assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
        *at = '/';
    }
}

void pf_tree_put(const char *name, const char *content)
{
    char path[PATH_MAX];
    lead_to(name, path);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

void pf_tree_link(const char *name, const char *target)
{
    char path[PATH_MAX];
    lead_to(name, path);
    assert_int_equal(symlink(target, path), 0);
}
