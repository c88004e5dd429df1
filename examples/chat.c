/* chat.c - a chat with long polling, in one worker: the end of docs/tutorial.md. */
#include <prefork.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINES_MAX 100              /* are kept, the newest */
#define TEXT_MAX  500              /* bytes of each */
#define WAIT_NS   (25 * PF_SECOND) /* then the client asks again */

/* A request that waits for the next line. */
struct waiter {
    struct waiter *next, **link;
    pf_http_request *request;
    unsigned long after; /* the newest line that it knows */
    pf_timer timer;
};

/* A lane is a thread: what is thread-local is the lane's, and needs no lock. */
static _Thread_local struct room {
    unsigned long said; /* lines so far, the newest is of this number */
    char lines[LINES_MAX][TEXT_MAX + 1];
    struct waiter *waiters;
    bool draining;
} room;

/* The lines behind the one that it knows, each with its number; 204 if there is none. */
static int tell(pf_http_request *request, unsigned long after)
{
    char text[LINES_MAX * (TEXT_MAX + 24)];
    size_t len = 0;
    unsigned long n = room.said > LINES_MAX ? room.said - LINES_MAX : 0;
    for (n = after > n ? after : n; n < room.said; n++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%lu %s\n", n + 1,
                                room.lines[n % LINES_MAX]);
    return len ? pf_http_respond(request, 200, "text/plain; charset=utf-8", text, len)
               : pf_http_respond(request, 204, NULL, NULL, 0);
}

/* It has waited long enough, whatever for. */
static void end_wait(struct waiter *waiter)
{
    pf_http_request *request = waiter->request;
    unsigned long after = waiter->after;
    *waiter->link = waiter->next;
    if (waiter->next)
        waiter->next->link = waiter->link;
    (void)pf_loop_remove_timeout(pf_http_get_loop(request), waiter->timer);
    (void)pf_http_on_gone(request, NULL, NULL);
    free(waiter);
    int err = tell(request, after);
    if (err && err != -EPIPE) /* which has finished it as well */
        (void)pf_http_abort(request);
}

static void end_all_waits(void)
{
    while (room.waiters)
        end_wait(room.waiters);
}

static int waiter_on_time(pf_loop *loop, void *waiter)
{
    (void)loop;
    end_wait(waiter);
    return 0;
}

/* Nobody who has closed one half waits for news. */
static void waiter_on_gone(pf_http_request *request, int reason, void *waiter)
{
    (void)request, (void)reason;
    end_wait(waiter);
}

static int begin_wait(pf_http_request *request, unsigned long after)
{
    struct waiter *waiter = malloc(sizeof *waiter);
    if (!waiter)
        return -ENOMEM;
    *waiter = (struct waiter){
        .next = room.waiters, .link = &room.waiters, .request = request, .after = after};
    int err = pf_http_on_gone(request, waiter_on_gone, waiter);
    if (!err)
        err = pf_loop_call_later(pf_http_get_loop(request), WAIT_NS, waiter_on_time, waiter,
                                 &waiter->timer);
    if (err) {
        (void)pf_http_on_gone(request, NULL, NULL);
        free(waiter);
        return err;
    }
    if (waiter->next)
        waiter->next->link = &waiter->next;
    room.waiters = waiter;
    return PF_HTTP_LATER;
}

/* GET /lines?after=N */
static int lines(pf_http_request *request, void *arg)
{
    char text[24] = "0";
    (void)arg;
    int len = pf_http_get_argument(request, "after", text, sizeof text);
    if (len != -ENOENT && (len < 1 || strspn(text, "0123456789") != (size_t)len))
        return pf_http_respond_error(request, 400);
    unsigned long after = strtoul(text, NULL, 10);
    if (after > room.said) /* of a worker before this one */
        after = 0;
    if (after < room.said || room.draining)
        return tell(request, after);
    return begin_wait(request, after);
}

/* POST /say, the text as the body */
static int say(pf_http_request *request, void *arg)
{
    size_t len;
    const char *text = pf_http_get_body(request, &len);
    (void)arg;
    if (len == 0)
        return pf_http_respond_error(request, 400);
    char *line = room.lines[room.said++ % LINES_MAX]; /* body_max: it fits */
    for (size_t i = 0; i < len; i++)
        line[i] = (unsigned char)text[i] < ' ' ? ' ' : text[i];
    line[len] = '\0';
    end_all_waits();
    return pf_http_respond(request, 204, NULL, NULL, 0);
}

static int page(pf_http_request *request, void *arg)
{
    static const char html[] =
        "<!DOCTYPE html><meta charset=utf-8><title>chat</title>\n"
        "<link rel=icon href='data:,'>\n"
        "<pre id=all></pre><form id=form><input id=text maxlength=120 autofocus></form>\n"
        "<script>\n"
        "let after = 0;\n"
        "form.onsubmit = (event) => {\n"
        "    event.preventDefault();\n"
        "    if (text.value) fetch('/say', {method: 'POST', body: text.value});\n"
        "    text.value = '';\n"
        "};\n"
        "(async () => {\n"
        "    for (;;) {\n"
        "        const answer = await fetch('/lines?after=' + after);\n"
        "        if (answer.status != 200) continue;\n"
        "        const lines = await answer.text();\n"
        "        all.textContent += lines;\n"
        "        after = parseInt(lines.trimEnd().split('\\n').pop());\n"
        "    }\n"
        "})();\n"
        "</script>\n";
    (void)arg;
    return pf_http_respond(request, 200, "text/html; charset=utf-8", html, sizeof html - 1);
}

/* The server waits for requests that are open, so there are to be none. */
static void on_drain(pf_lane *lane, void *arg)
{
    (void)lane, (void)arg;
    room.draining = true;
    end_all_waits();
}

static void lane_exit(pf_lane *lane, void *arg)
{
    (void)lane, (void)arg;
    end_all_waits();
}

static const struct pf_http_route routes[] = {
    {.method = "GET", .path = "/", .handler = page},
    {.method = "GET", .path = "/lines", .handler = lines},
    {.method = "POST", .path = "/say", .handler = say, .body_max = TEXT_MAX},
    {0}};

static const struct pf_app app = {PF_APP, .name = "chat", .routes = routes,
                                  .on_drain = on_drain, .lane_exit = lane_exit};

int main(int argc, char **argv)
{
    return pf_main(argc, argv, &app);
}
