/* stream_buffer.c - see stream_buffer.h. */
#include "net/stream_buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    FIRST = 1024
};

static int grow(struct pf__stream_buffer *buffer, size_t needed)
{
    size_t capacity = buffer->capacity ? buffer->capacity : FIRST;
    while (capacity < needed)
        capacity = capacity > SIZE_MAX / 2 ? needed : capacity * 2;
    char *grown = realloc(buffer->bytes, capacity);
    if (!grown)
        return -ENOMEM;
    buffer->bytes = grown;
    buffer->capacity = capacity;
    return 0;
}

int pf__stream_buffer_room(struct pf__stream_buffer *buffer, size_t least, char **out,
                           size_t *room)
{
    size_t len = pf__stream_buffer_len(buffer);
    if (least > SIZE_MAX - buffer->end)
        return -ENOMEM;
    if (buffer->end + least > buffer->capacity && buffer->at >= len && buffer->at > 0) {
        memmove(buffer->bytes, buffer->bytes + buffer->at, len);
        buffer->at = 0;
        buffer->end = len;
    }
    if (buffer->end + least > buffer->capacity && grow(buffer, buffer->end + least) != 0)
        return -ENOMEM;
    *out = buffer->bytes + buffer->end;
    *room = buffer->capacity - buffer->end;
    return 0;
}

int pf__stream_buffer_add(struct pf__stream_buffer *buffer, const void *data, size_t len)
{
    char *to;
    size_t room;
    if (len == 0)
        return 0;
    int err = pf__stream_buffer_room(buffer, len, &to, &room);
    if (err)
        return err;
    memcpy(to, data, len);
    buffer->end += len;
    return 0;
}

void pf__stream_buffer_trim(struct pf__stream_buffer *buffer)
{
    if (buffer->at < buffer->end)
        return;
    buffer->at = buffer->end = 0;
    if (buffer->capacity > PF__STREAM_BUFFER_KEEP)
        pf__stream_buffer_fini(buffer);
}

void pf__stream_buffer_fini(struct pf__stream_buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (struct pf__stream_buffer){0};
}
