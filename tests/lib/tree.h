/*
 * tree.h - a folder of files for a test, in the place of /proc and /sys.
 */
#ifndef PREFORK_TESTS_LIB_TREE_H
#define PREFORK_TESTS_LIB_TREE_H

#include <limits.h>

/* Where it is, and two folders in it that put() may fill: "proc" and "sys". */
extern char pf_tree_root[], pf_tree_proc[PATH_MAX], pf_tree_sys[PATH_MAX];

/* Run before and after each test, in the place of pf_test_setup() and pf_test_teardown().
 */
int pf_tree_setup(void **state);
int pf_tree_teardown(void **state);

#define pf_tree_test(name)                                                                 \
    cmocka_unit_test_setup_teardown(name, pf_tree_setup, pf_tree_teardown)

/* Write a file of the tree, such as "proc/cgroup", and the folders that lead to it. */
void pf_tree_put(const char *name, const char *content);

/* Make a symbolic link of the tree, and the folders that lead to it. */
void pf_tree_link(const char *name, const char *target);

#endif
