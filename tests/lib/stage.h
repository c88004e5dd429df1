/*
 * stage.h - a server of HTTP on a loop whose clock is the test's, and a client of it, all
 * in one thread.
 *
 *     stage_serve(handler, 0);
 *     ask(GET("/"));
 *     assert_answer(200, "hello");
 *     stage_close();
 */
#ifndef PREFORK_TESTS_LIB_STAGE_H
#define PREFORK_TESTS_LIB_STAGE_H

#include "tests/lib/test.h"

#include "http/internal.h"

#include <prefork/log.h>
#include <prefork/testing.h>

#define GET(path)  "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define HEAD(path) "HEAD " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(path, fields, body)                                                           \
    "POST " path " HTTP/1.1\r\nHost: a\r\n" fields "\r\n\r\n" body
#define CLOSES "\r\nConnection: close\r\n"

/* All there is; what the names say. */
struct stage {
    struct pf_test_clock clock;
    pf_loop *loop;
    pf_http_server *server;
    int client; /* the other end of the connection that is served; -1: none */

    struct {
        int responses, gone, last_status;
        uint64_t bytes;
    } observed;
    struct {
        int lines;
        char last[PF_LOG_LINE_MAX];
    } logged;
    struct {
        char *bytes;
        size_t len, at; /* at: where the next answer begins */
        bool ended;     /* the server has said that it will say no more */
        int error;
    } heard;
    struct {
        char head[20000];
        const char *body; /* of a chunked one: taken apart */
        size_t len;
    } answer; /* the last one taken */
};
extern struct stage stage;

/* Make loop, server and one client. stage_serve(): one handler for all methods and paths.
 * The observer in the options is replaced. */
void stage_open(const struct pf_http_server_options *options);
void stage_serve(pf_http_handler_fn *handler, unsigned flags);
void stage_close(void);

/* Leave, and come again. */
void stage_leave(void);
void stage_reconnect(void);

/* Over TCP, with a small buffer; stage_reset() then lets the server see a reset. */
void stage_reconnect_tcp(void);
void stage_reset(void);

/* Until nothing is left to do now. */
void stage_turn(void);
void stage_advance(int64_t ns);

/* Turn while threads work, until the condition holds. */
int64_t stage_real_time(void);
void stage_turn_once(void);
#define stage_turn_until(condition)                                                        \
    do {                                                                                   \
        int64_t give_up = stage_real_time() + PF_TEST_DEADLINE_S * PF_SECOND;              \
        while (!(condition)) {                                                             \
            assert_true(stage_real_time() < give_up);                                      \
            stage_turn_once();                                                             \
        }                                                                                  \
    } while (0)

void say(const char *text);
void say_bytes(const void *bytes, size_t len);
void hear(void);            /* take what has come so far */
void hear_all(void);        /* turn and hear until nothing comes any more */
void ask(const char *text); /* say, turn, hear */

/* Take the next answer: of this status, and with a body unless it has none by its nature.
 */
void next_answer(int status);
void next_head(int status); /* one without a body whatever its head says */
bool has(const char *text); /* in its head */

void assert_answer(int status, const char *body);
void assert_nothing(void); /* was heard beyond what was taken */
void assert_open(void);    /* and the connection goes on */
void assert_closed(void);  /* the end has come in an orderly way, and all is gone */
void assert_cut(void);     /* by a reset */

#endif
