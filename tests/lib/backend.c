#include "tests/lib/test.h"

#include "tests/lib/backend.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>

const struct pf_poller_ops *const pf_backends[] = {
#ifdef __linux__
    &pf_poller_epoll,
#endif
    &pf_poller_kqueue,
    &pf_poller_select,
    NULL,
};

static const struct pf_backend facts[] = {
#ifdef __linux__
    {&pf_poller_epoll, 1, 1, INT_MAX, true, true},
#endif
    {&pf_poller_kqueue, 1, 0, INT_MAX, true, false},
    {&pf_poller_select, 0, 0, FD_SETSIZE, false, false},
};

static const struct pf_backend *used = &facts[0];

void pf_backend_configure(void)
{
    const char *name = getenv("PF_TEST_POLLER");
    if (!name || !*name)
        return;
    struct pf_loop_options options = PF_LOOP_OPTIONS_INIT;
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        if (strcmp(facts[i].ops->name, name) == 0) {
            used = &facts[i];
            options.poller = used->ops;
        }
    }
    if (!options.poller || pf_loop_configure(&options) != 0) {
        fprintf(stderr, "PF_TEST_POLLER=%s: there is none\n", name);
        exit(99);
    }
}

const struct pf_backend *pf_backend(void)
{
    return used;
}

bool pf_backend_polls_readable(pf_loop *loop, bool otherwise)
{
    struct pollfd want = {.fd = pf_loop_fd(loop), .events = POLLIN};
    if (!used->has_fd) {
        assert_int_equal(want.fd, -ENOTSUP);
        return otherwise;
    }
    return poll(&want, 1, 0) == 1 && want.revents == POLLIN;
}

void pf_backend_skip_select_under_valgrind(void)
{
    if (pf_backend()->ops == &pf_poller_select)
        pf_test_skip_under_valgrind();
}
