/*
 * adversary_kinds.c - see adversary_internal.h.
 */
#include "bench/adversary_internal.h"

#include "bench/dice.h"
#include "bench/quantity.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* What a slow reader takes at its turn, and what its kernel may hold for it. */
#define SIP_BYTES    64
#define SIP_RCVBUF   4096
#define SIP_REQUESTS 64 /* asked for at a turn, at the most */

/* What a slow poster says it will send. */
#define POST_BYTES 1000000

#define GARBAGE_BYTES 512

/* ---- what each kind does --------------------------------------------------------- */

/* Send what fits. False: the server has cut it off. */
static bool say(struct adversary *adversary, const char *bytes, size_t len)
{
    ssize_t sent = send(adversary->fd, bytes, len, MSG_NOSIGNAL);
    return sent >= 0 || errno == EAGAIN || errno == EINTR;
}

static bool say_text(struct adversary *adversary, const char *text)
{
    return say(adversary, text, strlen(text));
}

/* Its request without the empty line that would end it. */
static bool begin_request(struct adversary *adversary)
{
    const struct adversaries *all = adversary->all;
    return say(adversary, all->request, all->request_len - 2);
}

static bool slowloris_on_turn(struct adversary *adversary)
{
    return say_text(adversary, "X-Slow: y\r\n");
}

static bool slowpost_open(struct adversary *adversary)
{
    char head[ADVERSARY_REQUEST_MAX];
    const struct adversary_options *options = &adversary->all->options;
    int len = snprintf(head, sizeof head,
                       "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n",
                       options->path, options->authority, POST_BYTES);
    return len > 0 && (size_t)len < sizeof head && say(adversary, head, (size_t)len);
}

static bool slowpost_on_turn(struct adversary *adversary)
{
    return say_text(adversary, "x");
}

/* Ask until the server takes no more, because its answers have nowhere to go; where a send
 * ended in the middle of a request, the next one goes on. */
static bool slowread_open(struct adversary *adversary)
{
    const struct adversaries *all = adversary->all;
    for (int i = 0; i < SIP_REQUESTS; i++) {
        size_t len = all->request_len - adversary->at;
        ssize_t sent = send(adversary->fd, all->request + adversary->at, len, MSG_NOSIGNAL);
        if (sent < 0)
            return errno == EAGAIN || errno == EINTR;
        adversary->at = (size_t)sent < len ? adversary->at + (uint32_t)sent : 0;
    }
    return true;
}

static bool slowread_on_turn(struct adversary *adversary)
{
    char sip[SIP_BYTES];
    struct pollfd poll_fd = {.fd = adversary->fd, .events = POLLRDHUP};
    /* Behind what it has not read yet an end would not be seen for hours. */
    if (poll(&poll_fd, 1, 0) > 0)
        return false;
    ssize_t len = recv(adversary->fd, sip, sizeof sip, 0);
    if (len == 0 || (len < 0 && errno != EAGAIN && errno != EINTR))
        return false;
    return slowread_open(adversary);
}

static bool halfopen_open(struct adversary *adversary)
{
    return shutdown(adversary->fd, SHUT_WR) == 0;
}

static bool garbage_open(struct adversary *adversary)
{
    char bytes[GARBAGE_BYTES];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(dice_roll(&adversary->all->dice) >> 56);
    return say(adversary, bytes, sizeof bytes);
}

static bool reset_open(struct adversary *adversary)
{
    (void)begin_request(adversary); /* whatever came of it, it ends here */
    return false;
}

const struct adversary_behaviour adversary_behaviours[ADVERSARY_KINDS] = {
    [ADVERSARY_SLOWLORIS] = {.name = "slowloris",
                             .open = begin_request,
                             .on_turn = slowloris_on_turn},
    [ADVERSARY_SLOWREAD] = {.name = "slowread",
                            .deaf = true,
                            .rcvbuf = SIP_RCVBUF,
                            .open = slowread_open,
                            .on_turn = slowread_on_turn},
    [ADVERSARY_SLOWPOST] = {.name = "slowpost",
                            .open = slowpost_open,
                            .on_turn = slowpost_on_turn},
    [ADVERSARY_HALFOPEN] = {.name = "halfopen", .open = halfopen_open},
    [ADVERSARY_IDLE] = {.name = "idle"},
    [ADVERSARY_GARBAGE] = {.name = "garbage", .open = garbage_open},
    [ADVERSARY_RESET] = {.name = "reset", .by_rate = true, .open = reset_open},
};

const char *adversary_name(enum adversary_kind kind)
{
    return adversary_behaviours[kind].name;
}

/* ---- the mix --------------------------------------------------------------------- */

static int find_kind(const char *name, size_t len)
{
    for (int kind = 0; kind < ADVERSARY_KINDS; kind++)
        if (strlen(adversary_behaviours[kind].name) == len &&
            strncmp(adversary_behaviours[kind].name, name, len) == 0)
            return kind;
    return -1;
}

int adversary_parse(const char *text, struct adversary_mix *out, char *why, size_t why_len)
{
    struct adversary_mix mix = {0};
    for (const char *at = text;;) {
        size_t name_len = strcspn(at, ":,");
        int kind = find_kind(at, name_len);
        if (kind < 0) {
            snprintf(why, why_len,
                     "\"%.*s\" is no kind: slowloris, slowread, slowpost, halfopen, idle, "
                     "garbage, reset",
                     (int)(name_len < 32 ? name_len : 32), at);
            return -EINVAL;
        }
        double count = 0;
        const char *number = at + name_len + (at[name_len] == ':');
        size_t len = quantity_read(number, adversary_behaviours[kind].by_rate, &count);
        if (at[name_len] != ':' || len == 0 || !(count >= 1) || count > 1e6 ||
            (number[len] != ',' && number[len] != '\0')) {
            snprintf(why, why_len, "%s needs a number: %s:%s",
                     adversary_behaviours[kind].name, adversary_behaviours[kind].name,
                     adversary_behaviours[kind].by_rate ? "200/s" : "500");
            return -EINVAL;
        }
        if (mix.count[kind] > 0) {
            snprintf(why, why_len, "%s is there twice", adversary_behaviours[kind].name);
            return -EINVAL;
        }
        mix.count[kind] = (unsigned)count;
        if (number[len] == '\0')
            break;
        at = number + len + 1;
    }
    *out = mix;
    return 0;
}
