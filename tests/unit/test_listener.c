#include "tests/lib/test.h"

#include "net/listener.h"
#include "net/listener_file.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct pf_listener_options options = {.backlog = 16};

static int open_one(struct pf_address *address, enum pf_listener_role role)
{
    return pf_listener_open(address, &options, role);
}

/* What the first socket of a group meets: 0 if nobody listens there. */
static int probe(const struct pf_address *address)
{
    struct pf_address copy = *address;
    int fd = open_one(&copy, PF_LISTENER_FIRST);
    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

static struct pf_address address_of(const char *text)
{
    struct pf_address found[PF_ADDRESSES_MAX];
    char why[160];
    assert_in_range(pf_address_parse(text, found, why, sizeof why), 1, PF_ADDRESSES_MAX);
    return found[0];
}

static int get(int fd, int level, int option)
{
    int value = -1;
    socklen_t len = sizeof value;
    assert_int_equal(getsockopt(fd, level, option, &value, &len), 0);
    return value;
}

/* Not every machine has IPv6. */
static bool has_ipv6(void)
{
    struct pf_address address = address_of("[::1]:0");
    return probe(&address) == 0;
}

/* ---- opening --------------------------------------------------------------------- */

static void listener_has_the_options_that_connections_inherit(void **unused)
{
    (void)unused;
    struct pf_address address = address_of("127.0.0.1:0");
    int fd = open_one(&address, PF_LISTENER_JOINS);
    assert_true(fd >= 0);
    assert_true(pf_address_port(&address) > 0);
    assert_int_equal(get(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
    assert_int_equal(get(fd, SOL_SOCKET, SO_REUSEADDR), 1);
    assert_int_equal(get(fd, SOL_SOCKET, SO_REUSEPORT), 1);
    assert_int_equal(get(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    assert_int_equal(get(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(get(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT), 0);
    assert_int_equal(get(fd, IPPROTO_TCP, TCP_FASTOPEN), 0);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(fd);
}

static void lanes_of_one_address_share_its_port(void **unused)
{
    (void)unused;
    struct pf_address address = address_of("127.0.0.1:0");
    int fds[4];
    fds[0] = open_one(&address, PF_LISTENER_JOINS);
    assert_true(fds[0] >= 0);
    unsigned port = pf_address_port(&address);
    for (int i = 1; i < 4; i++) {
        fds[i] = open_one(&address, PF_LISTENER_JOINS);
        assert_true(fds[i] >= 0);
        assert_int_equal(pf_address_port(&address), port);
    }
    for (int i = 0; i < 4; i++)
        close(fds[i]);
}

static void both_families_may_have_every_interface(void **unused)
{
    (void)unused;
    if (!has_ipv6())
        skip();
    struct pf_address four = address_of("0.0.0.0:0"), six = address_of("[::]:0");
    int fd6 = open_one(&six, PF_LISTENER_JOINS);
    assert_true(fd6 >= 0);
    assert_int_equal(get(fd6, IPPROTO_IPV6, IPV6_V6ONLY), 1);
    pf_address_set_port(&four, pf_address_port(&six));
    int fd4 = open_one(&four, PF_LISTENER_JOINS);
    if (fd4 != -EADDRINUSE) /* somebody else's IPv4 socket may have the port */
        assert_true(fd4 >= 0);
    close(fd6);
    if (fd4 >= 0)
        close(fd4);
}

static void opening_that_fails_says_why_and_leaves_nothing(void **unused)
{
    (void)unused;
    struct pf_address far = address_of("192.0.2.1:0"); /* RFC 5737: nobody's */
    struct pf_address before = far;
    assert_int_equal(open_one(&far, PF_LISTENER_JOINS), -EADDRNOTAVAIL);
    assert_memory_equal(&far, &before, sizeof far);
    assert_int_equal(probe(&far), -EADDRNOTAVAIL);
    struct pf_address none = {0};
    assert_true(open_one(&none, PF_LISTENER_JOINS) < 0);
    assert_true(probe(&none) < 0);
}

static void deferred_accept_and_fast_open_are_options(void **unused)
{
    (void)unused;
    struct pf_listener_options wanted = {.backlog = 16, .defer_accept_s = 5, .fastopen = 7};
    static const enum pf_listener_role roles[] = {PF_LISTENER_FIRST, PF_LISTENER_JOINS};
    struct pf_address address = address_of("127.0.0.1:0");
    int fds[2];
    for (int i = 0; i < 2; i++) {
        fds[i] = pf_listener_open(&address, &wanted, roles[i]);
        assert_true(fds[i] >= 0);
        assert_in_range(get(fds[i], IPPROTO_TCP, TCP_DEFER_ACCEPT), 5, 20); /* rounded */
        assert_int_equal(get(fds[i], IPPROTO_TCP, TCP_FASTOPEN), 7);
    }
    close(fds[0]);
    close(fds[1]);
    wanted.defer_accept_s = -1;
    assert_int_equal(pf_listener_open(&address, &wanted, PF_LISTENER_FIRST), -EINVAL);
    wanted = (struct pf_listener_options){.backlog = 16, .fastopen = -1};
    assert_int_equal(pf_listener_open(&address, &wanted, PF_LISTENER_FIRST), -EINVAL);
}

static void socket_for_all_lanes_cannot_be_joined(void **unused)
{
    (void)unused;
    static const char *const texts[] = {"127.0.0.1:0", "udp:127.0.0.1:0", NULL};
    for (size_t i = 0; texts[i]; i++) {
        struct pf_address address = address_of(texts[i]);
        int fd = open_one(&address, PF_LISTENER_ALONE);
        assert_true(fd >= 0);
        assert_int_equal(get(fd, SOL_SOCKET, SO_REUSEPORT), 0);
        assert_int_equal(open_one(&address, PF_LISTENER_JOINS), -EADDRINUSE);
        assert_int_equal(open_one(&address, PF_LISTENER_FIRST), -EADDRINUSE);
        close(fd);
    }
}

/* ---- datagrams ------------------------------------------------------------------- */

static void datagram_sockets_share_a_port_that_no_other_server_gets(void **unused)
{
    (void)unused;
    static const char *const texts[] = {"udp:127.0.0.1:0", "udp:[::1]:0"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (i == 1 && !has_ipv6())
            continue;
        struct pf_address address = address_of(texts[i]);
        int first = open_one(&address, PF_LISTENER_FIRST);
        assert_true(first >= 0);
        assert_true(address.datagram && pf_address_port(&address) > 0);
        assert_int_equal(get(first, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
        assert_true(fcntl(first, F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(first, F_GETFD) & FD_CLOEXEC);
        int second = open_one(&address, PF_LISTENER_JOINS);
        assert_true(second >= 0);
        assert_int_equal(probe(&address), -EADDRINUSE);
        assert_int_equal(open_one(&address, PF_LISTENER_ALONE), -EADDRINUSE);
        close(first);
        assert_int_equal(probe(&address), -EADDRINUSE);
        close(second);
        assert_int_equal(probe(&address), 0);
    }
}

/* ---- abstract names -------------------------------------------------------------- */

static struct pf_address abstract_address(void)
{
    char text[64];
    snprintf(text, sizeof text, "unix:@prefork-test-%d", (int)getpid());
    return address_of(text);
}

static void abstract_socket_is_one_for_all_lanes(void **unused)
{
    (void)unused;
    struct pf_address address = abstract_address(), before = address;
    assert_int_equal(open_one(&address, PF_LISTENER_FIRST), -EINVAL);
    assert_int_equal(open_one(&address, PF_LISTENER_JOINS), -EINVAL);
    int fd = open_one(&address, PF_LISTENER_ALONE);
    assert_true(fd >= 0);
    assert_true(pf_address_equal(&address, &before));
    assert_int_equal(get(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
    assert_int_equal(open_one(&address, PF_LISTENER_ALONE), -EADDRINUSE);
    struct pf_address file = address_of("unix:/nowhere/x");
    assert_int_equal(open_one(&file, PF_LISTENER_ALONE), -EINVAL);
    close(fd);
}

/* ---- queues ---------------------------------------------------------------------- */

static int connect_to(const struct pf_address *address)
{
    int type = address->datagram ? SOCK_DGRAM : SOCK_STREAM;
    int fd = socket(address->storage.ss_family, type | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address->storage, address->len),
                     0);
    return fd;
}

static void queue_of_a_listener_is_counted(void **unused)
{
    (void)unused;
    struct pf_address address = address_of("127.0.0.1:0");
    int fd = open_one(&address, PF_LISTENER_FIRST), clients[3];
    assert_true(fd >= 0);
    unsigned queued = 99, max = 99;
    for (unsigned i = 0; i <= 3; i++) {
        assert_int_equal(pf_listener_queue(fd, &queued, &max), 0);
        assert_int_equal(queued, i);
        assert_int_equal(max, 16);
        assert_int_equal(pf_listener_has_queue(fd), i > 0);
        if (i < 3)
            clients[i] = connect_to(&address);
    }
    unsigned untouched = 7;
    assert_int_equal(pf_listener_queue(clients[0], &untouched, &untouched), -ENOTSUP);
    assert_int_equal(pf_listener_queue(STDIN_FILENO, &untouched, &untouched), -ENOTSUP);
    assert_int_equal(pf_listener_queue(-1, &untouched, &untouched), -EBADF);
    assert_false(pf_listener_has_queue(-1));
    assert_int_equal(untouched, 7);
    for (int i = 0; i < 3; i++)
        close(clients[i]);
    close(fd);
}

static void any_kind_of_socket_says_whether_something_waits(void **unused)
{
    (void)unused;
    struct pf_address addresses[] = {address_of("udp:127.0.0.1:0"), abstract_address()};
    for (int i = 0; i < 2; i++) {
        int fd = open_one(&addresses[i], PF_LISTENER_ALONE);
        unsigned untouched = 7;
        assert_true(fd >= 0);
        assert_int_equal(pf_listener_queue(fd, &untouched, &untouched), -ENOTSUP);
        assert_false(pf_listener_has_queue(fd));
        int client = connect_to(&addresses[i]);
        if (i == 0)
            assert_int_equal(send(client, "x", 1, 0), 1);
        assert_true(pf_listener_has_queue(fd));
        close(client);
        close(fd);
    }
}

static void backlog_is_clipped_as_the_kernel_does(void **unused)
{
    (void)unused;
    int most = pf_listener_clipped(INT32_MAX);
    assert_in_range(most, 1, INT32_MAX - 1);
    assert_int_equal(pf_listener_clipped(most), most);
    assert_int_equal(pf_listener_clipped(most + 1), most);
    assert_int_equal(pf_listener_clipped(1), 1);
    const struct pf_listener_options deep = {.backlog = INT32_MAX};
    struct pf_address address = address_of("127.0.0.1:0");
    unsigned queued, max;
    int fd = pf_listener_open(&address, &deep, PF_LISTENER_FIRST);
    assert_true(fd >= 0);
    assert_int_equal(pf_listener_queue(fd, &queued, &max), 0);
    assert_int_equal(max, most);
    close(fd);
}

/* ---- socket files ---------------------------------------------------------------- */

static char directory[64], path[96], fresh[112], lock_path[112];

static void make_directory(void)
{
    snprintf(directory, sizeof directory, "/tmp/prefork-listener-XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/app.sock", directory);
    snprintf(fresh, sizeof fresh, "%s.new", path);
    snprintf(lock_path, sizeof lock_path, "%s.lock", path);
}

/* What a test must not leave behind shows in rmdir(2). */
static void remove_directory(void)
{
    (void)unlink(lock_path);
    assert_int_equal(rmdir(directory), 0);
}

static int open_file(struct pf_listener_file *file, int *holder)
{
    return pf_listener_file_open(file, path, &options, holder);
}

static struct pf_address path_address(void)
{
    char text[128];
    snprintf(text, sizeof text, "unix:%s", path);
    return address_of(text);
}

/* Does a connection to the path end up at this listener? */
static void assert_served_by(int listener)
{
    struct pf_address address = path_address();
    int client = connect_to(&address);
    int server = accept(listener, NULL, NULL);
    assert_true(server >= 0);
    close(server);
    close(client);
}

static void socket_file_is_made_and_removed(void **unused)
{
    (void)unused;
    make_directory();
    struct pf_listener_file file = PF_LISTENER_FILE_NONE;
    int holder = -5;
    int fd = open_file(&file, &holder);
    assert_true(fd >= 0);
    assert_int_equal(holder, -5);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(file.lock_fd, F_GETFD) & FD_CLOEXEC);
    assert_string_equal(file.path, path);
    assert_int_equal(access(fresh, F_OK), -1);
    assert_served_by(fd);
    pf_listener_file_release(&file);
    assert_int_equal(file.lock_fd, -1);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(access(lock_path, F_OK), 0); /* it stays */
    pf_listener_file_release(&file);
    close(fd);
    remove_directory();
}

static void socket_file_has_the_permissions_that_were_asked_for(void **unused)
{
    (void)unused;
    static const struct {
        mode_t mask;
        unsigned asked, expected;
    } rows[] = {{022, 0, 0755}, {077, 0, 0700}, {077, 0666, 0666}, {0, 0600, 0600}};
    make_directory();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pf_listener_options wanted = {.backlog = 1, .unix_mode = rows[i].asked};
        struct pf_listener_file file = PF_LISTENER_FILE_NONE;
        struct stat st;
        int holder;
        mode_t before = umask(rows[i].mask);
        int fd = pf_listener_file_open(&file, path, &wanted, &holder);
        umask(before);
        assert_true(fd >= 0);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, rows[i].expected);
        pf_listener_file_release(&file);
        close(fd);
    }
    remove_directory();
}

static void second_server_is_refused_and_told_who_has_it(void **unused)
{
    (void)unused;
    make_directory();
    struct pf_listener_file file = PF_LISTENER_FILE_NONE, other = PF_LISTENER_FILE_NONE;
    int holder = -1;
    int fd = open_file(&file, &holder);
    assert_true(fd >= 0);
    assert_int_equal(open_file(&other, &holder), -EADDRINUSE);
    assert_int_equal(holder, getpid());
    assert_int_equal(other.lock_fd, -1);
    assert_served_by(fd);
    assert_int_equal(unlink(path), 0); /* the lock says so, not the socket */
    holder = -1;
    assert_int_equal(open_file(&other, &holder), -EADDRINUSE);
    assert_int_equal(holder, getpid());
    pf_listener_file_release(&file);
    close(fd);
    remove_directory();
}

/* In a child: a server that is killed, with all it leaves; `half`: before the rename. */
static void be_killed(void *half)
{
    struct pf_listener_file file = PF_LISTENER_FILE_NONE;
    int holder;
    assert_true(open_file(&file, &holder) >= 0);
    if (half)
        assert_int_equal(rename(path, fresh), 0);
    fflush(NULL);
    _exit(0);
}

static void file_of_a_killed_server_is_replaced(void **unused)
{
    (void)unused;
    for (int half = 0; half <= 1; half++) {
        make_directory();
        fflush(NULL);
        pid_t child = fork();
        if (child == 0)
            be_killed(half ? &half : NULL);
        int status, holder = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_int_equal(access(half ? fresh : path, F_OK), 0);
        struct pf_listener_file file = PF_LISTENER_FILE_NONE;
        int fd = open_file(&file, &holder);
        assert_true(fd >= 0);
        assert_served_by(fd);
        assert_int_equal(access(fresh, F_OK), -1);
        pf_listener_file_release(&file);
        close(fd);
        remove_directory();
    }
}

/* A server without a lock of ours, with room in its queue or without; at the path, or at
 * the name that a fresh socket has first. */
static void living_socket_is_never_displaced(void **unused)
{
    (void)unused;
    for (int i = 0; i < 4; i++) {
        make_directory();
        bool is_full = i % 2 != 0;
        struct sockaddr_un un = {.sun_family = AF_UNIX};
        memcpy(un.sun_path, i < 2 ? path : fresh, strlen(i < 2 ? path : fresh));
        int living = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_int_equal(bind(living, (struct sockaddr *)&un, sizeof un), 0);
        assert_int_equal(listen(living, is_full ? 0 : 5), 0);
        assert_int_equal(connect(client, (struct sockaddr *)&un, sizeof un), 0);
        struct pf_listener_file file = PF_LISTENER_FILE_NONE;
        int holder = -1;
        assert_int_equal(open_file(&file, &holder), -EADDRINUSE);
        assert_int_equal(holder, is_full ? 0 : getpid());
        struct stat st;
        assert_int_equal(lstat(un.sun_path, &st), 0);
        close(client);
        close(living);
        unlink(un.sun_path);
        remove_directory();
    }
}

static void make_file(const char *at, const char *text)
{
    int fd = open(at, O_WRONLY | O_CREAT | O_CLOEXEC | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void what_is_no_socket_of_ours_is_left_alone(void **unused)
{
    (void)unused;
    enum {
        FILE_THERE,
        DIRECTORY_THERE,
        LINK_THERE,
        FIFO_THERE,
        DATAGRAM_THERE,
        KINDS
    };
    const char *const places[] = {path, fresh, lock_path};
    for (int place = 0; place < 3; place++) {
        for (int kind = 0; kind < KINDS; kind++) {
            make_directory();
            const char *at = places[place];
            int held = -1, holder = -1;
            if (kind == FILE_THERE)
                make_file(at, "precious");
            else if (kind == DIRECTORY_THERE)
                assert_int_equal(mkdir(at, 0700), 0);
            else if (kind == LINK_THERE)
                assert_int_equal(symlink("/nonexistent/x", at), 0);
            else if (kind == FIFO_THERE)
                assert_int_equal(mkfifo(at, 0600), 0);
            else {
                struct sockaddr_un un = {.sun_family = AF_UNIX};
                memcpy(un.sun_path, at, strlen(at));
                held = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
                assert_int_equal(bind(held, (struct sockaddr *)&un, sizeof un), 0);
            }
            struct stat before, after;
            assert_int_equal(lstat(at, &before), 0);
            struct pf_listener_file file = PF_LISTENER_FILE_NONE;
            int err = open_file(&file, &holder);
            if (err != -EEXIST)
                fail_msg("place %d kind %d: %d", place, kind, err);
            assert_int_equal(file.lock_fd, -1);
            assert_int_equal(lstat(at, &after), 0);
            assert_true(before.st_ino == after.st_ino && before.st_size == after.st_size);
            if (held != -1)
                close(held);
            assert_int_equal(remove(at), 0);
            remove_directory();
        }
    }
}

static void path_must_fit_and_exist(void **unused)
{
    (void)unused;
    struct pf_listener_file file = PF_LISTENER_FILE_NONE;
    char longest[PF_LISTENER_PATH_MAX + 1];
    int holder;
    assert_int_equal(pf_listener_file_open(&file, "", &options, &holder), -EINVAL);
    assert_int_equal(pf_listener_file_open(&file, "/nonexistent/x", &options, &holder),
                     -ENOENT);
    make_directory();
    memset(longest, 'x', sizeof longest);
    memcpy(longest, path, strlen(path));
    longest[sizeof longest - 1] = 0;
    assert_int_equal(pf_listener_file_open(&file, longest, &options, &holder),
                     -ENAMETOOLONG);
    longest[sizeof longest - 2] = 0;
    int fd = pf_listener_file_open(&file, longest, &options, &holder);
    assert_true(fd >= 0);
    pf_listener_file_release(&file);
    close(fd);
    char lock[sizeof longest + 5];
    snprintf(lock, sizeof lock, "%s.lock", longest);
    assert_int_equal(unlink(lock), 0);
    remove_directory();
}

static void release_leaves_what_another_put_there(void **unused)
{
    (void)unused;
    make_directory();
    struct pf_listener_file file = PF_LISTENER_FILE_NONE;
    int holder;
    int fd = open_file(&file, &holder);
    assert_true(fd >= 0);
    assert_int_equal(unlink(path), 0);
    make_file(path, "another's");
    pf_listener_file_release(&file);
    assert_int_equal(unlink(path), 0); /* it was there */
    close(fd);
    remove_directory();
}

static struct pf_listener_file inherited;

static void release_in_child(void *unused)
{
    (void)unused;
    pf_listener_file_release(&inherited);
    assert_int_equal(inherited.lock_fd, -1);
    assert_int_equal(access(path, F_OK), 0);
}

static void child_only_closes_and_the_parent_keeps_the_lock(void **unused)
{
    (void)unused;
    make_directory();
    struct pf_listener_file other = PF_LISTENER_FILE_NONE;
    int holder = 0;
    inherited = (struct pf_listener_file)PF_LISTENER_FILE_NONE;
    int fd = open_file(&inherited, &holder);
    assert_true(fd >= 0);
    pf_test_in_child(release_in_child, NULL);
    assert_served_by(fd);
    assert_int_equal(open_file(&other, &holder), -EADDRINUSE);
    assert_int_equal(holder, getpid());
    pf_listener_file_release(&inherited);
    close(fd);
    remove_directory();
}

/* In a child: connect until the pipe ends. A dead server's socket refuses; that there is
 * none at all must never be. */
static void connect_again_and_again(int until)
{
    struct pf_address address = path_address();
    char byte;
    while (read(until, &byte, 1) == -1) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int err = connect(fd, (struct sockaddr *)&address.storage, address.len);
        if (err != 0 && errno != ECONNREFUSED && errno != EAGAIN)
            _exit(errno);
        close(fd);
    }
    _exit(0);
}

static void successors_of_killed_servers_leave_no_moment_without_a_socket(void **unused)
{
    (void)unused;
    make_directory();
    struct pf_listener_file file = PF_LISTENER_FILE_NONE;
    int holder, status, until[2];
    int fd = open_file(&file, &holder);
    assert_true(fd >= 0);
    assert_int_equal(pipe2(until, O_CLOEXEC | O_NONBLOCK), 0);
    fflush(NULL);
    pid_t client = fork();
    if (client == 0) {
        close(until[1]);
        close(fd); /* or it would listen for ever */
        pf_listener_file_release(&file);
        connect_again_and_again(until[0]);
    }
    close(until[0]);
    for (int i = 0; i < 500; i++) {
        close(fd); /* all that is left of one that was killed */
        close(file.lock_fd);
        do /* the child may hold both still, or just be connected */
            fd = open_file(&file, &holder);
        while (fd == -EADDRINUSE);
        assert_true(fd >= 0);
    }
    close(until[1]);
    assert_int_equal(waitpid(client, &status, 0), client);
    assert_int_equal(status, 0);
    pf_listener_file_release(&file);
    close(fd);
    remove_directory();
}

/* ---- probing --------------------------------------------------------------------- */

static void probe_sees_a_listener_that_reuseport_would_join(void **unused)
{
    (void)unused;
    struct pf_address address = address_of("127.0.0.1:0");
    assert_int_equal(probe(&address), 0);
    int fd = open_one(&address, PF_LISTENER_JOINS);
    assert_true(fd >= 0);
    assert_int_equal(probe(&address), -EADDRINUSE);
    struct pf_address any = address_of("0.0.0.0:0");
    pf_address_set_port(&any, pf_address_port(&address));
    assert_int_equal(probe(&any), -EADDRINUSE);
    close(fd);
    assert_int_equal(probe(&address), 0);
}

/* A server is started again while connections of its predecessor linger on the port. */
static void probe_is_not_disturbed_by_old_connections(void **unused)
{
    (void)unused;
    struct pf_address address = address_of("127.0.0.1:0");
    int listener = open_one(&address, PF_LISTENER_JOINS);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&address.storage, address.len), 0);
    int server;
    do
        server = accept(listener, NULL, NULL);
    while (server < 0 && errno == EAGAIN);
    assert_true(server >= 0);
    close(server); /* closes first: TIME_WAIT will be on its side */
    close(client);
    close(listener);
    assert_int_equal(probe(&address), 0);
    listener = open_one(&address, PF_LISTENER_JOINS);
    assert_true(listener >= 0);
    close(listener);
}

/* ---- holders --------------------------------------------------------------------- */

static void assert_held_by(const struct pf_address *address, pid_t pid)
{
    char text[128], expected[32];
    assert_int_equal(pf_listener_holder(address, text, sizeof text), 0);
    snprintf(expected, sizeof expected, " (pid %d)", (int)pid);
    assert_true(strlen(text) > strlen(expected));
    assert_string_equal(text + strlen(text) - strlen(expected), expected);
}

static void holder_of_a_listener_is_named(void **unused)
{
    (void)unused;
    static const char *const texts[] = {"127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (texts[i][0] == '[' && !has_ipv6())
            continue;
        struct pf_address address = address_of(texts[i]);
        int fd = open_one(&address, PF_LISTENER_JOINS);
        assert_true(fd >= 0);
        assert_held_by(&address, getpid());
        close(fd);
    }
}

static void holder_of_an_overlapping_address_is_named(void **unused)
{
    (void)unused;
    struct pf_address one = address_of("127.0.0.1:0"), any = address_of("0.0.0.0:0");
    int fd = open_one(&one, PF_LISTENER_JOINS);
    assert_true(fd >= 0);
    pf_address_set_port(&any, pf_address_port(&one));
    assert_held_by(&any, getpid());
    close(fd);

    any = address_of("0.0.0.0:0");
    fd = open_one(&any, PF_LISTENER_JOINS);
    assert_true(fd >= 0);
    pf_address_set_port(&one, pf_address_port(&any));
    assert_held_by(&one, getpid());
    struct pf_address sibling = address_of("127.0.0.2:0");
    pf_address_set_port(&sibling, pf_address_port(&any));
    assert_held_by(&sibling, getpid());
    close(fd);
}

static void holder_of_a_unix_or_datagram_socket_is_named(void **unused)
{
    (void)unused;
    char text[128];
    struct pf_address addresses[] = {abstract_address(), address_of("udp:127.0.0.1:0")};
    for (int i = 0; i < 2; i++) {
        int fd = open_one(&addresses[i], PF_LISTENER_ALONE);
        assert_true(fd >= 0);
        assert_held_by(&addresses[i], getpid());
        close(fd);
        assert_int_equal(pf_listener_holder(&addresses[i], text, sizeof text), -ENOENT);
    }
    make_directory();
    struct pf_listener_file file = PF_LISTENER_FILE_NONE;
    struct pf_address address = path_address();
    int holder;
    int fd = open_file(&file, &holder);
    assert_true(fd >= 0);
    assert_held_by(&address, getpid());
    snprintf(text, sizeof text, "unix:%.*s", (int)strlen(path) - 1, path);
    address = address_of(text);
    assert_int_equal(pf_listener_holder(&address, text, sizeof text), -ENOENT);
    pf_listener_file_release(&file);
    close(fd);
    remove_directory();
}

static void dual_stack_holder_of_an_ipv4_port_is_named(void **unused)
{
    (void)unused;
    if (!has_ipv6())
        skip();
    struct pf_address six = address_of("[::]:0"), four = address_of("127.0.0.1:0");
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), off = 0;
    assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&six.storage, six.len), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&six.storage, &six.len), 0);
    pf_address_set_port(&four, pf_address_port(&six));
    assert_int_equal(probe(&four), -EADDRINUSE);
    assert_held_by(&four, getpid());
    close(fd);
}

static void nobody_holds_a_port_without_listener(void **unused)
{
    (void)unused;
    struct pf_address address = address_of("127.0.0.1:0");
    char text[128] = "untouched";
    int fd = open_one(&address, PF_LISTENER_JOINS);
    assert_true(fd >= 0);
    struct pf_address sibling = address_of("127.0.0.2:0");
    pf_address_set_port(&sibling, pf_address_port(&address));
    assert_int_equal(pf_listener_holder(&sibling, text, sizeof text), -ENOENT);
    close(fd);
    assert_int_equal(pf_listener_holder(&address, text, sizeof text), -ENOENT);
    assert_string_equal(text, "untouched");
}

/* A master with two workers, in a process of its own; told through pipes, so that nothing
 * depends on time. `ready` is written to when the workers exist, `hold` read until its end.
 */
static pid_t start_family(struct pf_address *address, const char *name, int hold[2])
{
    int ready[2];
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    assert_int_equal(pipe2(hold, O_CLOEXEC), 0);
    int fd = open_one(address, PF_LISTENER_JOINS);
    assert_true(fd >= 0);
    fflush(NULL);
    pid_t master = fork();
    assert_true(master >= 0);
    if (master == 0) {
        char c;
        close(hold[1]);
        (void)prctl(PR_SET_NAME, name);
        for (int i = 0; i < 2; i++) {
            if (fork() == 0) {
                (void)!read(hold[0], &c, 1);
                _exit(0);
            }
        }
        (void)!write(ready[1], "r", 1);
        while (wait(NULL) > 0)
            ;
        _exit(0);
    }
    char c;
    close(fd);
    close(hold[0]);
    close(ready[1]);
    assert_int_equal(read(ready[0], &c, 1), 1);
    close(ready[0]);
    return master;
}

static void end_family(pid_t master, int hold[2])
{
    close(hold[1]);
    int status;
    assert_int_equal(waitpid(master, &status, 0), master);
    assert_int_equal(status, 0);
}

static void master_is_named_not_one_of_its_workers(void **unused)
{
    (void)unused;
    static const char *const names[] = {"master", "m) S 1 (x", "a\nb"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct pf_address address = address_of("127.0.0.1:0");
        int hold[2];
        pid_t master = start_family(&address, names[i], hold);
        assert_held_by(&address, master);
        char text[128];
        assert_int_equal(pf_listener_holder(&address, text, sizeof text), 0);
        assert_null(strchr(text, '\n'));
        end_family(master, hold);
    }
}

static void name_is_cut_to_the_room_there_is(void **unused)
{
    (void)unused;
    struct pf_address address = address_of("127.0.0.1:0");
    int fd = open_one(&address, PF_LISTENER_JOINS);
    assert_true(fd >= 0);
    char text[8];
    memset(text, '!', sizeof text);
    assert_int_equal(pf_listener_holder(&address, text, 5), 0);
    assert_int_equal(strlen(text), 4);
    assert_int_equal(text[5], '!');
    close(fd);
}

static void a_strangers_listener_becomes_one_of_ours(void **state)
{
    (void)state;
    struct pf_address address = address_of("127.0.0.1:0"), found;
    bool dual = true;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address.storage, address.len), 0);
    assert_int_equal(pf_listener_adopt(fd, &options, &found, &dual), -ENOTCONN);
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0); /* not touched */
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(pf_listener_adopt(fd, &options, &found, &dual), 0);
    assert_false(dual);
    assert_false(found.datagram);
    assert_true(pf_address_port(&found) > 0);
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(get(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    assert_int_equal(get(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    close(fd);
    assert_int_equal(pf_listener_adopt(fd, &options, &found, &dual), -EBADF);
}

static void what_cannot_be_served_is_not_adopted(void **state)
{
    (void)state;
    struct pf_address found;
    bool dual;
    int pair[2], pipes[2];
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    assert_int_equal(pf_listener_adopt(pipes[0], &options, &found, &dual), -ENOTSOCK);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(pf_listener_adopt(pair[0], &options, &found, &dual), -EPROTOTYPE);
    for (int i = 0; i < 2; i++) {
        close(pipes[i]);
        close(pair[i]);
    }
}

static void a_listener_for_both_families_is_adopted_as_one(void **state)
{
    (void)state;
    if (!has_ipv6())
        skip();
    struct pf_address address = address_of("[::]:0"), found;
    bool dual = false;
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0), only = 0;
    assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address.storage, address.len), 0);
    assert_int_equal(pf_listener_adopt(fd, &options, &found, &dual), 0);
    assert_true(dual);
    assert_true(found.datagram);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(listener_has_the_options_that_connections_inherit),
        pf_test(lanes_of_one_address_share_its_port),
        pf_test(both_families_may_have_every_interface),
        pf_test(opening_that_fails_says_why_and_leaves_nothing),
        pf_test(deferred_accept_and_fast_open_are_options),
        pf_test(socket_for_all_lanes_cannot_be_joined),
        pf_test(datagram_sockets_share_a_port_that_no_other_server_gets),
        pf_test(abstract_socket_is_one_for_all_lanes),
        pf_test(queue_of_a_listener_is_counted),
        pf_test(any_kind_of_socket_says_whether_something_waits),
        pf_test(backlog_is_clipped_as_the_kernel_does),
        pf_test(socket_file_is_made_and_removed),
        pf_test(socket_file_has_the_permissions_that_were_asked_for),
        pf_test(second_server_is_refused_and_told_who_has_it),
        pf_test(file_of_a_killed_server_is_replaced),
        pf_test(living_socket_is_never_displaced),
        pf_test(what_is_no_socket_of_ours_is_left_alone),
        pf_test(path_must_fit_and_exist),
        pf_test(release_leaves_what_another_put_there),
        pf_test(child_only_closes_and_the_parent_keeps_the_lock),
        pf_test(successors_of_killed_servers_leave_no_moment_without_a_socket),
        pf_test(probe_sees_a_listener_that_reuseport_would_join),
        pf_test(probe_is_not_disturbed_by_old_connections),
        pf_test(holder_of_a_listener_is_named),
        pf_test(holder_of_an_overlapping_address_is_named),
        pf_test(holder_of_a_unix_or_datagram_socket_is_named),
        pf_test(dual_stack_holder_of_an_ipv4_port_is_named),
        pf_test(nobody_holds_a_port_without_listener),
        pf_test(master_is_named_not_one_of_its_workers),
        pf_test(name_is_cut_to_the_room_there_is),
        pf_test(a_strangers_listener_becomes_one_of_ours),
        pf_test(what_cannot_be_served_is_not_adopted),
        pf_test(a_listener_for_both_families_is_adopted_as_one),
    };
    return cmocka_run_group_tests_name("listener", tests, NULL, NULL);
}
