/*
 * sys/event.h - what loop/kqueue.c needs of the BSDs' header, for tests on Linux.
 *
 * Found by -Itests/lib/double alone. The functions are in tests/lib/kqueue_double.c. Names
 * and values are those of FreeBSD's kqueue(2).
 */
#ifndef PREFORK_TESTS_DOUBLE_SYS_EVENT_H
#define PREFORK_TESTS_DOUBLE_SYS_EVENT_H

#include <stdint.h>
#include <time.h>

struct kevent {
    uintptr_t ident;
    short filter;
    unsigned short flags;
    unsigned fflags;
    int64_t data;
    void *udata;
};

#define EV_SET(at, ident_, filter_, flags_, fflags_, data_, udata_)                        \
    (*(at) = (struct kevent){(ident_), (filter_), (flags_), (fflags_), (data_), (udata_)})

/* filters */
#define EVFILT_READ  (-1)
#define EVFILT_WRITE (-2)

/* what is to be done */
#define EV_ADD     0x0001
#define EV_DELETE  0x0002
#define EV_ENABLE  0x0004
#define EV_DISABLE 0x0008
#define EV_ONESHOT 0x0010
#define EV_CLEAR   0x0020 /* refused by the double */
#define EV_RECEIPT 0x0040

/* what is told */
#define EV_ERROR 0x4000
#define EV_EOF   0x8000

int kqueue(void);
int kevent(int kq, const struct kevent *changes, int nchanges, struct kevent *events,
           int nevents, const struct timespec *timeout);

#endif
