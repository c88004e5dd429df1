/* One question to a unix socket, and the answer: whole, or the reason why there is none. */
#include "tests/lib/test.h"

#include "ipc/ask.h"

#include <errno.h>
#include <prefork/base.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LONG_ENOUGH (PF_TEST_DEADLINE_S * PF_SECOND)

/* Answers one connection so; mute: not before it is closed. */
struct peer {
    const char *answer;
    bool mute;
    int listener;
    char path[64], heard[64];
    pthread_t thread;
};

static void *peer_thread(void *arg)
{
    struct peer *peer = arg;
    int fd = accept(peer->listener, NULL, NULL);
    ssize_t n = recv(fd, peer->heard, sizeof peer->heard - 1, 0);
    peer->heard[n > 0 ? n : 0] = 0;
    if (peer->mute)
        (void)!recv(fd, peer->heard, 1, 0); /* the end */
    else
        (void)!send(fd, peer->answer, strlen(peer->answer), MSG_NOSIGNAL);
    close(fd);
    return NULL;
}

static void start(struct peer *peer)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(peer->path, sizeof peer->path, "/tmp/prefork-test-ask.%ld", (long)getpid());
    memcpy(address.sun_path, peer->path, sizeof peer->path);
    unlink(peer->path);
    peer->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(peer->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(peer->listener, 1), 0);
    assert_int_equal(pthread_create(&peer->thread, NULL, peer_thread, peer), 0);
}

static void stop(struct peer *peer)
{
    pthread_join(peer->thread, NULL);
    close(peer->listener);
    unlink(peer->path);
}

static void the_answer_comes_whole(void **state)
{
    (void)state;
    struct peer peer = {.answer = "one\ntwo\n"};
    char *answer = NULL;
    size_t len = 0;
    start(&peer);
    assert_int_equal(pf__ask(peer.path, "status", LONG_ENOUGH, 1 << 20, &answer, &len), 0);
    stop(&peer);
    assert_string_equal(peer.heard, "status\n");
    assert_int_equal(len, 8);
    assert_string_equal(answer, "one\ntwo\n");
    free(answer);
}

static void a_longer_one_than_allowed_is_refused(void **state)
{
    (void)state;
    struct peer peer = {.answer = "more"};
    char *answer = NULL;
    size_t len;
    start(&peer);
    assert_int_equal(pf__ask(peer.path, "a", LONG_ENOUGH, 3, &answer, &len), -EPROTO);
    stop(&peer);
    assert_null(answer);
}

static void nobody_is_waited_for_longer_than_asked(void **state)
{
    (void)state;
    struct peer peer = {.mute = true};
    char *answer = NULL;
    size_t len;
    start(&peer);
    assert_int_equal(pf__ask(peer.path, "a", PF_MILLISECOND, 1 << 20, &answer, &len),
                     -ETIMEDOUT);
    stop(&peer);
    assert_null(answer);
}

static void why_nobody_is_there_is_told(void **state)
{
    (void)state;
    char beyond[200], *answer = NULL;
    size_t len;
    memset(beyond, 'x', sizeof beyond - 1);
    beyond[0] = '/';
    beyond[sizeof beyond - 1] = 0;
    assert_int_equal(pf__ask("/no/such", "a", PF_SECOND, 1 << 20, &answer, &len), -ENOENT);
    assert_int_equal(pf__ask(beyond, "a", PF_SECOND, 1 << 20, &answer, &len),
                     -ENAMETOOLONG);
    assert_int_equal(pf__ask("/no/such", beyond, PF_SECOND, 1 << 20, &answer, &len),
                     -EINVAL);
    assert_null(answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pf_test(the_answer_comes_whole),
        pf_test(a_longer_one_than_allowed_is_refused),
        pf_test(nobody_is_waited_for_longer_than_asked),
        pf_test(why_nobody_is_there_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
