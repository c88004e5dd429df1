/* A program that owns its main loop, around poll(2), and has a prefork loop turn inside it.
 */
#include <prefork.h>

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

static int on_line(pf_loop *loop, int fd, unsigned events, void *arg)
{
    char text[256];
    ssize_t n = read(fd, text, sizeof text);
    (void)loop, (void)events;
    if (n <= 0) {
        *(bool *)arg = true;
        return PF_DONE;
    }
    printf("read %zd bytes\n", n);
    return 0;
}

static int on_second(pf_loop *loop, void *arg)
{
    (void)loop, (void)arg;
    puts("tick");
    return 0;
}

/* How long poll(2) may sleep: until the loop wants its next turn, rounded up. */
static int poll_ms(pf_loop *loop)
{
    int64_t next = PF_NEVER, now = 0;
    if (pf_loop_next_deadline(loop, &next) != 0 || pf_loop_time(loop, &now) != 0)
        return 0;
    if (next == PF_NEVER)
        return -1;
    int64_t ms = next <= now ? 0 : (next - now + PF_MILLISECOND - 1) / PF_MILLISECOND;
    return ms < 60000 ? (int)ms : 60000;
}

int main(void)
{
    pf_loop *loop;
    pf_periodic *tick;
    bool done = false;
    if (pf_loop_new(NULL, &loop) != 0)
        return 1;
    int err = pf_periodic_new(loop, PF_SECOND, on_second, NULL, &tick);
    if (!err)
        err = pf_periodic_start(tick);
    if (!err)
        err = pf_loop_add_handler(loop, STDIN_FILENO, PF_READ, on_line, &done);
    while (!err && !done) {
        struct pollfd mine = {.fd = pf_loop_fd(loop), .events = POLLIN};
        (void)poll(&mine, 1, poll_ms(loop)); /* beside descriptors of the host's own */
        int ran = pf_loop_turn(loop, 0);
        err = ran < 0 ? ran : 0;
    }
    pf_periodic_free(tick);
    pf_loop_close(loop, false);
    pf_loop_unref(loop);
    return err != 0;
}
