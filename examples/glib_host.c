/* A prefork loop as a source of GLib's main loop. Built where GLib's development files are.
 */
#include <prefork.h>

#include <glib.h>
#include <stdio.h>

struct source {
    GSource base;
    pf_loop *loop;
    GPollFD fd;
};

/* How long GLib may sleep for us: until the loop wants its next turn, rounded up. */
static gboolean prepare(GSource *base, gint *timeout_ms)
{
    struct source *source = (struct source *)base;
    int64_t next = PF_NEVER, now = 0;
    if (pf_loop_next_deadline(source->loop, &next) != 0 ||
        pf_loop_time(source->loop, &now) != 0)
        return FALSE;
    *timeout_ms = -1;
    if (next != PF_NEVER) {
        int64_t ms = next <= now ? 0 : (next - now + PF_MILLISECOND - 1) / PF_MILLISECOND;
        *timeout_ms = ms < 60000 ? (gint)ms : 60000;
    }
    return next <= now;
}

static gboolean check(GSource *base)
{
    gint timeout_ms;
    struct source *source = (struct source *)base;
    return (source->fd.revents & G_IO_IN) != 0 || prepare(base, &timeout_ms);
}

static gboolean dispatch(GSource *base, GSourceFunc callback, gpointer data)
{
    (void)callback, (void)data;
    return pf_loop_turn(((struct source *)base)->loop, 0) >= 0 ? G_SOURCE_CONTINUE
                                                               : G_SOURCE_REMOVE;
}

static GSourceFuncs functions = {.prepare = prepare, .check = check, .dispatch = dispatch};

static int on_tick(pf_loop *loop, void *arg)
{
    static int ticks;
    (void)loop;
    printf("tick %d\n", ++ticks);
    if (ticks < 3)
        return 0;
    g_main_loop_quit(arg);
    return PF_DONE;
}

int main(void)
{
    GMainLoop *host = g_main_loop_new(NULL, FALSE);
    GSource *base = g_source_new(&functions, sizeof(struct source));
    struct source *source = (struct source *)base;
    pf_periodic *tick;
    if (pf_loop_new(NULL, &source->loop) != 0)
        return 1;
    source->fd = (GPollFD){.fd = pf_loop_fd(source->loop), .events = G_IO_IN};
    g_source_add_poll(base, &source->fd);
    g_source_attach(base, NULL);

    int err = pf_periodic_new(source->loop, 10 * PF_MILLISECOND, on_tick, host, &tick);
    if (!err)
        err = pf_periodic_start(tick);
    if (!err)
        g_main_loop_run(host);
    pf_periodic_free(tick);
    pf_loop_unref(source->loop); /* the last reference closes */
    g_source_destroy(base);
    g_source_unref(base);
    g_main_loop_unref(host);
    return err != 0;
}
