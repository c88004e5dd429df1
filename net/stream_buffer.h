/*
 * stream_buffer.h - bytes that wait: added at the end, taken from the front.
 *
 * One piece of memory, which grows by doubling and is given back when it is empty and not
 * small. Taking moves a mark; the bytes behind it stay where they are until something is
 * added, so that a callback may look at what was taken.
 */
#ifndef PREFORK_NET_STREAM_BUFFER_H
#define PREFORK_NET_STREAM_BUFFER_H

#include <prefork/base.h>

/* An empty buffer of at most so many bytes is kept. */
#define PF__STREAM_BUFFER_KEEP 4096

/* All zeros is an empty one. */
struct pf__stream_buffer {
    char *bytes;
    size_t at, end; /* what waits is bytes[at..end) */
    size_t capacity;
};

static inline size_t pf__stream_buffer_len(const struct pf__stream_buffer *buffer)
{
    return buffer->end - buffer->at;
}

static inline const char *pf__stream_buffer_data(const struct pf__stream_buffer *buffer)
{
    return buffer->bytes + buffer->at;
}

/* Room for at least `least` bytes at the end. Returns 0 with *room bytes at *out, or
 * -ENOMEM. Moves a byte only if as many have been taken. */
int pf__stream_buffer_room(struct pf__stream_buffer *buffer, size_t least, char **out,
                           size_t *room);

/* So many bytes of the room are filled. */
static inline void pf__stream_buffer_added(struct pf__stream_buffer *buffer, size_t n)
{
    buffer->end += n;
}

/* Copy bytes to the end. Returns 0 or -ENOMEM. */
int pf__stream_buffer_add(struct pf__stream_buffer *buffer, const void *data, size_t len);

/* Take n bytes, at most what waits, from the front. They stay where they are. */
static inline void pf__stream_buffer_take(struct pf__stream_buffer *buffer, size_t n)
{
    buffer->at += n;
}

/* Nobody looks at what was taken any more: give memory back. */
void pf__stream_buffer_trim(struct pf__stream_buffer *buffer);

/* Empty it. */
void pf__stream_buffer_fini(struct pf__stream_buffer *buffer);

#endif
