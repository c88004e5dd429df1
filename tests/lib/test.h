/*
 * test.h - what every test file includes first.
 *
 * cmocka, and a fixture that makes a test fail if it leaves a descriptor or a child process
 * behind: list tests with pf_test(name).
 */
#ifndef PREFORK_TESTS_LIB_TEST_H
#define PREFORK_TESTS_LIB_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Run before and after each test: count open descriptors; after: also no child may be left,
 * running or unreaped; what is left is killed, so that it fails no other test. */
int pf_test_setup(void **state);
int pf_test_teardown(void **state);

#define pf_test(name) cmocka_unit_test_setup_teardown(name, pf_test_setup, pf_test_teardown)

/* Open descriptors of this process, by /proc/self/fd. */
int pf_test_count_fds(void);

/* Skip the test if "localhost" has no address: a bare machine may have no /etc/hosts. */
void pf_test_skip_without_localhost(void);

/* Skip the test if it runs under valgrind, which has limits and filters of its own. */
void pf_test_skip_under_valgrind(void);

/* Skip the test if there is no such program in PATH; before it starts anything. */
void pf_test_skip_without(const char *program);

/* Seconds that any wait in a test may take before the test fails: generous, since it is
 * only ever reached by a test that fails; enough for a slow machine that is busy with
 * something else, under valgrind. */
#define PF_TEST_DEADLINE_S 120

/*
 * Run body(arg) in a forked child, as its own cmocka test, and fail here unless it passes:
 * an assert that fails in a plain forked child would go on with the parent's other tests.
 */
void pf_test_in_child(void (*body)(void *arg), void *arg);

/* As above, but the child is made by a raw clone(2), so that no pthread_atfork handler
 * runs. */
void pf_test_in_raw_clone(void (*body)(void *arg), void *arg);

#endif
