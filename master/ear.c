/* ear.c - see ear.h. */
#include "master/ear.h"

#include "loop/offer.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Passed on in pieces that a pipe takes whole: PIPE_BUF is at least 512. */
enum {
    PIECE = 512,
    PIECES_MAX = 128 /* before others get their turn */
};

static void keep(struct pf__ear *ear, const char *text, size_t len)
{
    size_t room = sizeof ear->tail - 1;
    if (len > room) {
        text += len - room;
        len = room;
    }
    size_t over = ear->len + len > room ? ear->len + len - room : 0;
    memmove(ear->tail, ear->tail + over, ear->len - over);
    ear->len -= over;
    memcpy(ear->tail + ear->len, text, len);
    ear->len += len;
    ear->tail[ear->len] = '\0';
}

/* Returns false at the end of file. */
static bool take(struct pf__ear *ear)
{
    char piece[PIECE];
    for (int i = 0; i < PIECES_MAX; i++) {
        ssize_t n = read(ear->fd, piece, sizeof piece);
        if (n <= 0)
            return n != 0;
        keep(ear, piece, (size_t)n);
        (void)pf__offer(STDERR_FILENO, piece, (size_t)n); /* nowhere to complain */
    }
    return true;
}

static void close_it(struct pf__ear *ear)
{
    (void)pf_loop_remove_handler(ear->loop, ear->fd); /* in a child: refused */
    close(ear->fd);
    ear->open = false;
}

static int ear_on_ready(pf_loop *loop, int fd, unsigned events, void *arg)
{
    (void)loop, (void)fd, (void)events;
    struct pf__ear *ear = arg;
    if (!take(ear))
        close_it(ear);
    return 0;
}

int pf__ear_open(struct pf__ear *ear, pf_loop *loop, int fd)
{
    *ear = (struct pf__ear){.loop = loop, .open = true, .fd = fd};
    int err = pf_loop_add_handler(loop, fd, PF_READ, ear_on_ready, ear);
    if (err) {
        close(fd);
        ear->open = false;
    }
    return err;
}

void pf__ear_close(struct pf__ear *ear)
{
    if (!ear->open)
        return;
    if (pf_loop_check(ear->loop) == 0)
        (void)take(ear);
    close_it(ear);
}

static size_t without_line_ends(const char *text, size_t end)
{
    while (end > 0 && text[end - 1] == '\n')
        end--;
    return end;
}

/* Where the line that ends before `end` begins. */
static size_t line_before(const char *text, size_t end)
{
    while (end > 0 && text[end - 1] != '\n')
        end--;
    return end;
}

/* Empty lines say nothing. */
void pf__ear_last_words(const struct pf__ear *ear, char *text, size_t len)
{
    size_t end = without_line_ends(ear->tail, ear->len);
    size_t last = line_before(ear->tail, end);
    size_t before_end = without_line_ends(ear->tail, last);
    size_t before = line_before(ear->tail, before_end);
    if (before_end > before)
        snprintf(text, len, "%.*s | %.*s", (int)(before_end - before), ear->tail + before,
                 (int)(end - last), ear->tail + last);
    else
        snprintf(text, len, "%.*s", (int)(end - last), ear->tail + last);
}
