/* listeners.c - see listeners.h. */
#include "master/listeners.h"

#include "master/complain.h"
#include "master/inherited.h"
#include "net/holder.h"
#include "net/listener.h"
#include "net/steer.h"

#include <prefork/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* How often an address is tried that a dead server's worker holds. */
#define TRY_NS (20 * PF_MILLISECOND)

_Static_assert(PF__INHERITED_MAX <= PF__ADDRESSES_MAX, "all may be served");

static int *cell(const struct pf__listeners *listeners, unsigned lane, size_t at)
{
    return &listeners->fds[lane * PF__ADDRESSES_MAX + at];
}

/* ---- what to say of a bind that failed ------------------------------------------- */

static int refuse(const struct pf_master_options *options, const char *text,
                  const char *why)
{
    return pf__complain(options, PF_EXIT_USAGE, "--bind %s: %s", text, why);
}

/* Does an address before this one have the same port? */
static bool is_our_port(const struct pf__listeners *listeners, size_t at)
{
    const struct pf_address *wanted = &listeners->addresses[at];
    for (size_t i = 0; i < at; i++) {
        const struct pf_address *other = &listeners->addresses[i];
        if (!pf_address_is_unix(other) && other->datagram == wanted->datagram &&
            pf_address_port(other) == pf_address_port(wanted))
            return true;
    }
    return false;
}

static int explain_in_use(const struct pf__listeners *listeners, size_t at,
                          const char *text, int holder_pid,
                          const struct pf_master_options *options)
{
    const struct pf_address *address = &listeners->addresses[at];
    char holder[64];
    if (pf_address_is_unix(address) && holder_pid)
        return pf__complain(options, PF_EXIT_UNAVAILABLE,
                            "--bind %s: in use by another server (pid %d); stop it", text,
                            holder_pid);
    if (pf_address_is_unix(address))
        return pf__complain(options, PF_EXIT_UNAVAILABLE,
                            "--bind %s: in use by another server; stop it", text);
    if (is_our_port(listeners, at))
        return pf__complain(options, PF_EXIT_UNAVAILABLE,
                            "--bind %s: overlaps with another --bind; leave one out", text);
    if (pf_listener_holder(address, holder, sizeof holder) == 0)
        return pf__complain(options, PF_EXIT_UNAVAILABLE,
                            "--bind %s: in use by %s; stop it or use another port", text,
                            holder);
    return pf__complain(options, PF_EXIT_UNAVAILABLE,
                        "--bind %s: in use by another server; use another port", text);
}

static bool is_scarcity(int err)
{
    return err == -EMFILE || err == -ENFILE || err == -ENOMEM || err == -ENOBUFS;
}

static int explain(const struct pf__listeners *listeners, size_t at, const char *text,
                   int err, int holder_pid, const struct pf_master_options *options)
{
    bool file = pf_address_is_unix(&listeners->addresses[at]);
    if (err == -EADDRINUSE)
        return explain_in_use(listeners, at, text, holder_pid, options);
    if (err == -EEXIST)
        return pf__complain(
            options, PF_EXIT_UNAVAILABLE,
            "--bind %s: what stands there is no socket of a server; move it away", text);
    if (err == -EACCES && !file)
        return pf__complain(options, PF_EXIT_UNAVAILABLE,
                            "--bind %s: not allowed; ports below 1024 need root or "
                            "CAP_NET_BIND_SERVICE: use a higher one",
                            text);
    if (err == -EADDRNOTAVAIL)
        return pf__complain(
            options, PF_EXIT_UNAVAILABLE,
            "--bind %s: not an address of this machine; use one of its own, or "
            ":PORT for all",
            text);
    if (err == -ENAMETOOLONG)
        return pf__complain(options, PF_EXIT_USAGE,
                            "--bind %s: too long; use a path of at most %d bytes", text,
                            PF_LISTENER_PATH_MAX - 1);
    return pf__complain(options, is_scarcity(err) ? PF_EXIT_SOFTWARE : PF_EXIT_UNAVAILABLE,
                        "--bind %s: %s%s", text, strerror(-err),
                        file ? "; name a path in a directory of yours" : "");
}

/* ---- opening --------------------------------------------------------------------- */

static bool is_known(const struct pf__listeners *listeners,
                     const struct pf_address *address)
{
    for (size_t i = 0; i < listeners->count; i++)
        if (pf_address_equal(&listeners->addresses[i], address))
            return true;
    return false;
}

/* How lanes accept from an address: datagrams have no queue of connections to share, and
 * unix sockets know no groups. */
static enum pf_accept_mode mode_of(const struct pf_address *address,
                                   enum pf_distribution distribution)
{
    if (address->datagram)
        return PF_ACCEPT_OWN;
    if (distribution == PF_DISTRIBUTE_SHARED)
        return PF_ACCEPT_SHARED;
    if (distribution == PF_DISTRIBUTE_EXCLUSIVE || pf_address_is_unix(address))
        return PF_ACCEPT_EXCLUSIVE;
    return PF_ACCEPT_OWN;
}

/* Can the service take what comes there? */
static const char *misfit(const struct pf_address *address,
                          const struct pf_service *service)
{
    if (address->datagram && !service->on_datagram)
        return "the application takes no datagrams; leave \"udp:\" out";
    if (!address->datagram && !service->on_connection)
        return "the application takes datagrams only; write udp:HOST:PORT";
    return NULL;
}

/* Append what the text stands for to the table. */
static int resolve(struct pf__listeners *listeners, const char *text,
                   const struct pf_master_options *options)
{
    struct pf_address found[PF_ADDRESSES_MAX];
    char why[128];
    int n = pf_address_parse(text, found, why, sizeof why);
    if (n < 0)
        return refuse(options, text, why);
    for (int i = 0; i < n; i++) {
        const char *wrong = misfit(&found[i], options->service);
        if (wrong)
            return refuse(options, text, wrong);
        if (is_known(listeners, &found[i]))
            return refuse(options, text, "given twice; leave one out");
        if (listeners->count == PF__ADDRESSES_MAX)
            return refuse(options, text, "too many addresses; leave some out");
        listeners->modes[listeners->count] = mode_of(&found[i], options->distribution);
        listeners->files[listeners->count] = (struct pf_listener_file)PF_LISTENER_FILE_NONE;
        listeners->addresses[listeners->count++] = found[i];
    }
    return PF_EXIT_OK;
}

static int open_one(struct pf__listeners *listeners, size_t at, enum pf_listener_role role,
                    const struct pf_listener_options *options, int *holder)
{
    struct pf_address *address = &listeners->addresses[at];
    const char *path = pf_address_path(address);
    if (path)
        return pf_listener_file_open(&listeners->files[at], path, options, holder);
    return pf_listener_open(address, options, role);
}

static bool has(int pid, const struct pf_address *address)
{
    struct pf_holder_sockets sockets;
    pf_holder_find(address, &sockets);
    return pf_holder_has(pid, &sockets);
}

/* Is it a worker of a server like this one that has the address? Then it may have lost its
 * master, and is about to let go: that is so if the maker of a unix socket, 0 if unknown,
 * has it no more. Or nobody, for all that can be seen: it has let go since, or between two
 * looks at it. */
static bool may_be_let_go(const struct pf_address *address, int maker)
{
    char holder[64];
    if (maker)
        return !has(maker, address);
    if (pf_listener_holder(address, holder, sizeof holder) != 0 || holder[0] == '?')
        return true;
    size_t len = strlen(program_invocation_short_name);
    if (len > 15) /* as the kernel cuts names */
        len = 15;
    return strncmp(holder, program_invocation_short_name, len) == 0 && holder[len] == ' ';
}

static int open_first(struct pf__listeners *listeners, size_t at,
                      const struct pf_listener_options *options, int *holder)
{
    enum pf_listener_role role =
        listeners->modes[at] == PF_ACCEPT_OWN ? PF_LISTENER_FIRST : PF_LISTENER_ALONE;
    int fd = open_one(listeners, at, role, options, holder);
    if (fd != -EADDRINUSE || is_our_port(listeners, at) ||
        !may_be_let_go(&listeners->addresses[at], *holder))
        return fd;
    struct timespec pause = {.tv_nsec = TRY_NS};
    for (int64_t waited = 0; fd == -EADDRINUSE && waited < PF__LISTENERS_WAIT_NS;
         waited += TRY_NS) {
        (void)nanosleep(&pause, NULL); /* no event tells of it */
        fd = open_one(listeners, at, role, options, holder);
    }
    return fd;
}

/* One address, for every lane if need be. Returns 0 or a negative errno; what is open stays
 * open. */
static int open_address(struct pf__listeners *listeners, size_t at,
                        const struct pf_listener_options *options, int *holder)
{
    int fd = open_first(listeners, at, options, holder);
    if (fd < 0)
        return fd;
    *cell(listeners, 0, at) = fd;
    for (unsigned lane = 1;
         listeners->modes[at] == PF_ACCEPT_OWN && lane < listeners->lanes; lane++) {
        fd = open_one(listeners, at, PF_LISTENER_JOINS, options, holder);
        if (fd < 0)
            return fd;
        *cell(listeners, lane, at) = fd;
    }
    return 0;
}

static void leave_out(struct pf__listeners *listeners, size_t at)
{
    size_t behind = --listeners->count - at;
    memmove(&listeners->addresses[at], &listeners->addresses[at + 1],
            behind * sizeof *listeners->addresses);
    memmove(&listeners->modes[at], &listeners->modes[at + 1],
            behind * sizeof *listeners->modes);
}

static struct pf_listener_options made_how(const struct pf_master_options *options)
{
    return (struct pf_listener_options){
        .backlog = options->backlog,
        .defer_accept_s = (int)((options->defer_accept_ns + PF_SECOND - 1) / PF_SECOND),
        .fastopen = (int)options->fast_open,
        .unix_mode = options->unix_mode};
}

/* Lanes share it. */
static void take(struct pf__listeners *listeners, size_t at,
                 struct pf__inherited_socket *socket, enum pf_distribution distribution)
{
    listeners->modes[at] =
        distribution == PF_DISTRIBUTE_SHARED ? PF_ACCEPT_SHARED : PF_ACCEPT_EXCLUSIVE;
    *cell(listeners, 0, at) = socket->fd;
    socket->fd = -1;
}

/* One that serves both families of ":PORT" is taken for the first, whose name it then
 * gives, and stands for the other. */
static bool take_or_leave_out(struct pf__listeners *listeners, size_t at, bool pair,
                              struct pf__inherited_socket *socket,
                              enum pf_distribution distribution)
{
    if (socket->fd == -1) {
        leave_out(listeners, at);
        return false;
    }
    if (pair)
        listeners->addresses[at] = socket->address;
    take(listeners, at, socket, distribution);
    return true;
}

/* All addresses of one text. A port that the kernel picks for the first is everybody's; of
 * the two families of ":PORT" one may be missing on this machine: then serve the other. */
static int open_text(struct pf__listeners *listeners, struct pf__inherited *inherited,
                     const char *text, const struct pf_master_options *options)
{
    const struct pf_listener_options made = made_how(options);
    size_t first = listeners->count;
    int status = resolve(listeners, text, options);
    for (size_t i = first; status == PF_EXIT_OK && i < listeners->count; i++) {
        struct pf_address *address = &listeners->addresses[i];
        if (i > first && pf_address_port(address) == 0)
            pf_address_set_port(address, pf_address_port(&listeners->addresses[first]));
        struct pf__inherited_socket *ours = pf__inherited_find(inherited, address);
        bool pair = listeners->count - first > 1;
        if (ours) {
            if (!take_or_leave_out(listeners, i, pair, ours, options->distribution))
                i--;
            continue;
        }
        int holder = 0;
        int err = open_address(listeners, i, &made, &holder);
        if (err == -EAFNOSUPPORT && pair)
            leave_out(listeners, i--);
        else if (err)
            status = explain(listeners, i, text, err, holder, options);
    }
    return status;
}

/* All that was handed over. */
static int serve_inherited(struct pf__listeners *listeners, struct pf__inherited *inherited,
                           const struct pf_master_options *options)
{
    char text[PF_ADDRESS_TEXT_MAX];
    for (size_t i = 0; i < inherited->count; i++) {
        struct pf__inherited_socket *socket = &inherited->sockets[i];
        const char *wrong = misfit(&socket->address, options->service);
        if (wrong)
            return pf__complain(options, PF_EXIT_USAGE, "LISTEN_FDS, %s: %s",
                                pf_address_format(&socket->address, text), wrong);
        size_t at = listeners->count++;
        listeners->addresses[at] = socket->address;
        listeners->files[at] = (struct pf_listener_file)PF_LISTENER_FILE_NONE;
        take(listeners, at, socket, options->distribution);
    }
    return PF_EXIT_OK;
}

static int open_all(struct pf__listeners *listeners,
                    const struct pf_master_options *options)
{
    const struct pf_listener_options made = made_how(options);
    struct pf__inherited inherited = {.count = 0};
    if (options->inherit != PF_INHERIT_NOT)
        pf__inherited_take(&inherited, &made);
    int status = PF_EXIT_OK;
    if (options->inherit == PF_INHERIT_INSTEAD && inherited.count)
        status = serve_inherited(listeners, &inherited, options);
    else
        for (size_t i = 0; i < options->bind_count && status == PF_EXIT_OK; i++)
            status = open_text(listeners, &inherited, options->binds[i], options);
    pf__inherited_close(&inherited);
    return status;
}

static void warn_if_clipped(int backlog)
{
    int clipped = pf_listener_clipped(backlog);
    if (clipped < backlog)
        pf_log(PF_LOG_WARN, "backlog-clipped",
               "wanted=%d net.core.somaxconn=%d; raise it with sysctl(8)", backlog,
               clipped);
}

int pf__listeners_open(struct pf__listeners *listeners, unsigned lanes,
                       const struct pf_master_options *options)
{
    *listeners = (struct pf__listeners){.lanes = lanes};
    size_t cells = (size_t)lanes * PF__ADDRESSES_MAX;
    listeners->fds = malloc(cells * sizeof *listeners->fds);
    if (!listeners->fds)
        return pf__complain(options, PF_EXIT_SOFTWARE, "out of memory for %u listeners",
                            lanes);
    for (size_t i = 0; i < cells; i++)
        listeners->fds[i] = -1;
    int status = open_all(listeners, options);
    if (status != PF_EXIT_OK)
        pf__listeners_fini(listeners);
    else
        warn_if_clipped(options->backlog);
    return status;
}

/* ---- use ------------------------------------------------------------------------- */

int pf__listeners_fd(const struct pf__listeners *listeners, unsigned lane, size_t address)
{
    return *cell(listeners, listeners->modes[address] == PF_ACCEPT_OWN ? lane : 0, address);
}

size_t pf__listeners_own(const struct pf__listeners *listeners, unsigned lane, int *fds)
{
    size_t count = 0;
    for (size_t i = 0; i < listeners->count; i++)
        if (listeners->modes[i] == PF_ACCEPT_OWN)
            fds[count++] = *cell(listeners, lane, i);
    return count;
}

bool pf__listeners_wait(const struct pf__listeners *listeners, unsigned lane)
{
    for (size_t i = 0; i < listeners->count; i++)
        if (listeners->modes[i] == PF_ACCEPT_OWN &&
            pf_listener_has_queue(*cell(listeners, lane, i)))
            return true;
    return false;
}

void pf__listeners_steer(const struct pf__listeners *listeners,
                         const struct sock_filter *program, unsigned count)
{
    for (size_t i = 0; i < listeners->count; i++) {
        if (listeners->modes[i] != PF_ACCEPT_OWN || listeners->lanes < 2)
            continue;
        int err = pf_steer_attach(*cell(listeners, 0, i), program, count);
        if (err)
            pf_log(PF_LOG_WARN, "not-steered", "error=%s", strerror(-err));
    }
}

/* ---- closing --------------------------------------------------------------------- */

static void close_cell(int *fd)
{
    if (*fd != -1)
        close(*fd);
    *fd = -1;
}

void pf__listeners_keep(struct pf__listeners *listeners, unsigned first, unsigned count)
{
    for (size_t i = 0; i < listeners->count; i++) {
        pf_listener_file_release(&listeners->files[i]);
        if (listeners->modes[i] != PF_ACCEPT_OWN && count > 0)
            continue;
        for (unsigned lane = 0; lane < listeners->lanes; lane++)
            if (lane < first || lane >= first + count)
                close_cell(cell(listeners, lane, i));
    }
}

void pf__listeners_close(struct pf__listeners *listeners)
{
    pf__listeners_keep(listeners, 0, 0);
}

void pf__listeners_fini(struct pf__listeners *listeners)
{
    if (!listeners->fds)
        return;
    pf__listeners_close(listeners);
    free(listeners->fds);
    *listeners = (struct pf__listeners){0};
}
