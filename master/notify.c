/* notify.c - see notify.h. */
#include "master/notify.h"

#include <prefork/log.h>

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void warn(struct pf__notify *notify, int err)
{
    if (!notify->warned)
        pf_log(PF_LOG_WARN, "manager-not-notified", "NOTIFY_SOCKET=%s error=%s serving=on",
               getenv("NOTIFY_SOCKET"), strerror(-err));
    notify->warned = true;
}

static int send_text(struct pf__notify *notify, const char *text)
{
    ssize_t n = sendto(notify->fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL,
                       (const struct sockaddr *)&notify->to, notify->to_len);
    return n < 0 ? -errno : 0;
}

/* ---- the environment ------------------------------------------------------------- */

static int read_address(struct pf__notify *notify, const char *name)
{
    size_t len = strlen(name);
    if (name[0] != '/' && name[0] != '@')
        return -EAFNOSUPPORT; /* "vsock:...", for virtual machines */
    if (len < 2 || len >= sizeof notify->to.sun_path)
        return -EINVAL;
    notify->to = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(notify->to.sun_path, name, len);
    if (name[0] == '@')
        notify->to.sun_path[0] = '\0';
    /* The length is the name's if it is abstract: unix(7). */
    notify->to_len =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (name[0] == '/'));
    return 0;
}

/* Half of what is asked for, as sd_watchdog_enabled(3) advises. */
static int64_t read_watchdog(void)
{
    const char *time = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    if (!time || (pid && strtol(pid, NULL, 10) != getpid()))
        return 0;
    errno = 0;
    long long us = strtoll(time, NULL, 10);
    bool is_number = *time && !time[strspn(time, "0123456789")] && errno == 0;
    if (!is_number || us < 2 || us > INT64_MAX / 1000) {
        pf_log(PF_LOG_WARN, "watchdog-ignored", "WATCHDOG_USEC=%s", time);
        return 0;
    }
    return us * 1000 / 2;
}

/* ---- use ------------------------------------------------------------------------- */

static pf_callback_fn notify_on_time;

static void arm(struct pf__notify *notify)
{
    int err =
        pf_loop_call_later(notify->loop, notify->alive_ns, notify_on_time, notify, NULL);
    if (err)
        pf_log(PF_LOG_ERROR, "watchdog-not-served", "error=%s", strerror(-err));
}

static int notify_on_time(pf_loop *loop, void *arg)
{
    (void)loop;
    struct pf__notify *notify = arg;
    int err = send_text(notify, "WATCHDOG=1");
    if (err && err != -EAGAIN) /* it has not read the last ones yet */
        warn(notify, err);
    arm(notify);
    return 0;
}

void pf__notify_open(struct pf__notify *notify, pf_loop *loop)
{
    const char *name = getenv("NOTIFY_SOCKET");
    *notify = (struct pf__notify){.fd = -1, .loop = loop};
    if (!name || !*name)
        return;
    int err = read_address(notify, name);
    if (!err)
        notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (notify->fd == -1) {
        warn(notify, err ? err : -errno);
        return;
    }
    notify->alive_ns = read_watchdog();
    if (notify->alive_ns)
        arm(notify);
}

void pf__notify_state(struct pf__notify *notify, const char *format, ...)
{
    if (notify->fd == -1)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(notify->unsent, sizeof notify->unsent, format, args);
    va_end(args);
    pf__notify_again(notify);
}

void pf__notify_again(struct pf__notify *notify)
{
    if (notify->fd == -1 || !notify->unsent[0])
        return;
    int err = send_text(notify, notify->unsent);
    if (err == -EAGAIN || err == -ENOBUFS)
        return;
    if (err)
        warn(notify, err);
    notify->unsent[0] = '\0';
}

void pf__notify_close(struct pf__notify *notify)
{
    if (notify->fd != -1)
        close(notify->fd);
    notify->fd = -1;
}

void pf__notify_let_go(struct pf__notify *notify)
{
    pf__notify_close(notify);
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}
