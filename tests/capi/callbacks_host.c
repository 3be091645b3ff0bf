/* parallel_for: a call on threads of the caller's own, started for it, or on one that runs the tasks backwards. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "callback_call.h"
#include "callbacks.h"

enum { MAX_THREADS = 16, MAX_TASKS = 4096 };

typedef struct host {
    int n_calls, n_threads, backwards, alone;
    int64_t n_tasks;
    unsigned char done[MAX_TASKS];
    fov_host_task_fn task;
    void *context;
    int64_t next;
} host;

typedef struct worker {
    host *of;
    int thread;
} worker;

static void *work(void *argument)
{
    const worker *w = argument;
    host *h = w->of;
    for (int64_t i; (i = __atomic_fetch_add(&h->next, 1, __ATOMIC_RELAXED)) < h->n_tasks;) {
        int64_t task = h->backwards ? h->n_tasks - 1 - i : i;
        if (task < MAX_TASKS) __atomic_add_fetch(&h->done[task], 1, __ATOMIC_RELAXED);
        h->task(h->context, task, w->thread);
    }
    return NULL;
}

static void run_on_host(void *context, int64_t n_tasks, int n_threads, fov_host_task_fn task, void *task_context)
{
    host *h = context;
    pthread_t threads[MAX_THREADS];
    worker workers[MAX_THREADS];
    h->n_calls++;
    h->n_threads = n_threads;
    h->n_tasks = n_tasks;
    h->task = task;
    h->context = task_context;
    h->next = 0;
    int n = h->alone ? 1 : n_threads < MAX_THREADS ? n_threads : MAX_THREADS;
    for (int i = 0; i < n; i++) {
        workers[i] = (worker){h, h->alone ? n_threads - 1 : i}; /* any number below n_threads will do */
        if (pthread_create(&threads[i], NULL, work, &workers[i]) != 0) abort();
    }
    for (int i = 0; i < n; i++) pthread_join(threads[i], NULL);
}

static void run_case(const char *isa, int dtype, int64_t q_len, int64_t kv_len, int backwards, int alone)
{
    callback_call call, serial;
    host h = {.backwards = backwards, .alone = alone};
    check_begin("host threads %s %d Lq%d Lk%d%s%s", isa, dtype, (int)q_len, (int)kv_len, backwards ? " backwards" : "",
                alone ? " alone" : "");
    callback_init(&call, dtype, 4, 6, 2, q_len, kv_len);
    callback_init(&serial, dtype, 4, 6, 2, q_len, kv_len);
    call.args.n_threads = 2;
    call.args.parallel_for = run_on_host;
    call.args.parallel_for_host = &h;
    check(callback_run(&serial) == FOV_OK && callback_run(&call) == FOV_OK, "%s", fov_last_problem());
    check(callback_same(&call, &serial), "other bits on threads of the caller");
    check(call.stats.n_threads < 2 || h.n_calls == 1, "parallel_for was called %d times", h.n_calls);
    check(h.n_calls == 0 || (h.n_threads == call.stats.n_threads && h.n_tasks > 1 && h.n_tasks <= MAX_TASKS),
          "%d threads and %lld tasks", h.n_threads, (long long)h.n_tasks);
    for (int64_t i = 0; i < h.n_tasks && i < MAX_TASKS; i++)
        check(h.done[i] == 1, "task %lld ran %d times", (long long)i, h.done[i]);
    check(fov_get_available_threads() < 2 || strcmp(fov_threading_layer(), "none") == 0 || h.n_calls == 1,
          "a call this large had one thread");
    callback_free(&call);
    callback_free(&serial);
}

void test_host_threads(const char *isa)
{
    for (int dtype = FOV_F32; dtype <= FOV_F64; dtype++)
        for (int form = 0; form < 4; form++) {
            run_case(isa, dtype, 150, 300, form & 1, form >> 1);
            run_case(isa, dtype, 2, 6000, form & 1, form >> 1);
        }
}
