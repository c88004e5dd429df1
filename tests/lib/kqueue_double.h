/*
 * kqueue_double.h - kqueue(2) for tests on Linux, over epoll.
 *
 * So that loop/kqueue.c runs where there is no kqueue. After the manual of FreeBSD: each
 * filter of a descriptor is reported apart; a registration (knote) ends with the close(2)
 * of its descriptor, whoever else holds the file; a kqueue is not inherited over a fork; a
 * writing filter on a pipe without readers is refused (EPIPE). What it does not have
 * (EV_CLEAR, other filters) answers EINVAL.
 *
 * For this it stands in front of close(2), dup2(2) and dup3(2) for the whole program, and
 * counts. It never calls malloc(3).
 */
#ifndef PREFORK_TESTS_LIB_KQUEUE_DOUBLE_H
#define PREFORK_TESTS_LIB_KQUEUE_DOUBLE_H

#include <prefork/poller.h>

/* The next kqueue(), or the next EV_ADD of a writing filter, fails with this errno, once.
 */
extern int pf_kqueue_double_error, pf_kqueue_double_write_error;

#endif
