#include "hosts.h"

#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "fuzz_attend: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "; fov_last_problem() is \"%s\"\n", fov_last_problem());
    va_end(arguments);
    abort();
}

static void check_tile(const host *h, const fov_logits_tile *tile)
{
    const fov_attention_args *a = h->args;
    if (tile->n_queries < 1 || tile->first_query < 0 || tile->n_queries > a->q_len - tile->first_query)
        fail("a tile has queries %lld + %lld", (long long)tile->first_query, (long long)tile->n_queries);
    if (tile->n_keys < 1 || tile->first_key < 0 || tile->n_keys > a->kv_len - tile->first_key)
        fail("a tile has keys %lld + %lld", (long long)tile->first_key, (long long)tile->n_keys);
    if (tile->head < 0 || tile->head >= a->n_q_heads) fail("a tile has head %lld", (long long)tile->head);
    if (tile->batch < 0 || tile->batch >= h->batch) fail("a tile has batch %lld", (long long)tile->batch);
    if (tile->dtype != (a->dtype == FOV_F64 ? FOV_F64 : FOV_F32)) fail("a tile has dtype %d", (int)tile->dtype);
}

static void modify(const fov_logits_tile *tile, void *user)
{
    host *h = user;
    check_tile(h, tile);
    for (int64_t i = 0; i < tile->n_queries; i++)
        for (int64_t j = 0; j < tile->n_keys; j++) {
            int64_t at = i * tile->query_stride + j * tile->key_stride;
            int masks = h->modifies == 2 && (tile->first_key + j) % 3 == 0;
            if (tile->dtype == FOV_F64) ((double *)tile->logits)[at] += masks ? -(double)INFINITY : 0.25;
            else ((float *)tile->logits)[at] += masks ? -INFINITY : 0.25f;
        }
    if (h->cancel && __atomic_sub_fetch(&h->calls_left, 1, __ATOMIC_RELAXED) == 0)
        __atomic_store_n(h->cancel, 1, __ATOMIC_RELAXED);
}

static int is_alive(const fov_logits_tile *tile, void *user)
{
    const host *h = user;
    check_tile(h, tile);
    if (tile->logits) fail("a tile mask was given logits");
    return tile->first_key < h->dead_from;
}

typedef struct share {
    int64_t first, n_tasks;
    int thread;
    fov_host_task_fn task;
    void *context;
} share;

static void *every_second(void *argument)
{
    const share *s = argument;
    for (int64_t i = s->first; i < s->n_tasks; i += 2) s->task(s->context, i, s->thread);
    return NULL;
}

static void run_tasks(void *user, int64_t n_tasks, int n_threads, fov_host_task_fn task, void *context)
{
    const host *h = user;
    pthread_t other;
    share shares[] = {{0, n_tasks, 0, task, context}, {1, n_tasks, 1, task, context}};
    if (n_tasks < 1 || n_threads < 2) fail("parallel_for has %lld tasks on %d threads", (long long)n_tasks, n_threads);
    if (h->order == 2 && pthread_create(&other, NULL, every_second, &shares[1]) == 0) {
        every_second(&shares[0]);
        pthread_join(other, NULL);
        return;
    }
    for (int64_t i = 0; i < n_tasks; i++) task(context, h->order ? n_tasks - 1 - i : i, n_threads - 1);
}

int host_make(host *h, choices *in, fov_attention_args *args, int64_t batch, int32_t *cancel)
{
    unsigned which = take(in);
    *h = (host){.args = args, .batch = batch, .order = (int)take(in) % 3};
    if (which & 1) {
        h->modifies = (int)take(in) % 3;
        args->modifier = modify;
        args->modifier_user = h;
    }
    if (which & 2) {
        args->parallel_for = run_tasks;
        args->parallel_for_host = h;
    }
    if (which & 4) {
        h->calls_left = 1 + (int32_t)take(in);
        h->cancel = cancel;
        args->cancel = cancel;
        *cancel = h->calls_left == 256; /* from the beginning */
    }
    if (!(which & 8)) return 1;
    h->dead_from = take(in);
    args->tile_mask = is_alive;
    args->tile_mask_user = h;
    return h->dead_from == 0; /* tiles of two passes begin at other keys: one may be dead where the other is not */
}
