/* queue.c - see queue.h. */
#include "bench/peers/queue.h"

#include "bench/loop_bench.h"

void queue_init(struct queue *queue, size_t capacity)
{
    *queue = (struct queue){.in = new_array(capacity, sizeof *queue->in),
                            .out = new_array(capacity, sizeof *queue->out)};
    require(pthread_mutex_init(&queue->lock, NULL) == 0, "pthread_mutex_init");
}

bool queue_push(struct queue *queue, void (*fn)(void *arg), void *arg)
{
    pthread_mutex_lock(&queue->lock);
    bool was_empty = queue->count == 0;
    queue->in[queue->count++] = (struct queue_item){fn, arg};
    pthread_mutex_unlock(&queue->lock);
    return was_empty;
}

void queue_run(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    struct queue_item *items = queue->in;
    size_t count = queue->count;
    queue->in = queue->out;
    queue->out = items;
    queue->count = 0;
    pthread_mutex_unlock(&queue->lock);
    for (size_t i = 0; i < count; i++)
        items[i].fn(items[i].arg);
}
