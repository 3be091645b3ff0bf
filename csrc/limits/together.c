#include "limits/together.h"

#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#include "limits/limits.h"
#include "parallel/parallel.h"

/* Waking a thread takes 10 to 60 us and, behind a busy one, a few ms; who has not come after this has no CPU. */
static const int64_t PATIENCE_NS = 20000000;
static const int64_t SPIN_NS = 100000; /* then the CPU is offered to whom we wait for: there may be fewer CPUs than threads */
/* Before the work much longer: who offers the CPU to another process at that moment starts a time slice after the others. */
static const int64_t SPIN_PREPARED_NS = 20000000;

typedef struct meeting {
    int n_threads;
    fov_limit_work prepare, work;
    void *context;
    _Atomic int n_here, n_prepared, called_off;
    _Atomic int64_t first_start, last_end;
} meeting;

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

double fov_limit_now(void) { return 1e-9 * (double)now_ns(); }

/* Until n_threads have counted themselves. Gives up where `called_off` allows it: whoever sets that does so while somebody is
 * missing, and the one missing then sees it. */
static int wait_for_all(const meeting *m, _Atomic int *n_counted, _Atomic int *called_off)
{
    int64_t begin = now_ns(), spin = called_off == NULL ? SPIN_PREPARED_NS : SPIN_NS;
    atomic_fetch_add(n_counted, 1);
    while (atomic_load(n_counted) < m->n_threads) {
        int64_t waited = now_ns() - begin;
        if (waited > spin) sched_yield();
        if (called_off == NULL) continue;
        if (waited > PATIENCE_NS) atomic_store(called_off, 1);
        if (atomic_load(called_off)) return 0;
    }
    return called_off == NULL || !atomic_load(called_off);
}

static void keep_smaller(_Atomic int64_t *kept, int64_t value)
{
    int64_t seen = atomic_load(kept);
    while (value < seen && !atomic_compare_exchange_weak(kept, &seen, value)) continue;
}

static void keep_larger(_Atomic int64_t *kept, int64_t value)
{
    int64_t seen = atomic_load(kept);
    while (value > seen && !atomic_compare_exchange_weak(kept, &seen, value)) continue;
}

static void attend(void *context, int64_t task, int thread)
{
    meeting *m = context;
    (void)thread;
    if (!wait_for_all(m, &m->n_here, &m->called_off)) return;
    if (m->prepare != NULL) {
        m->prepare(m->context, (int)task);
        wait_for_all(m, &m->n_prepared, NULL);
    }
    keep_smaller(&m->first_start, now_ns());
    m->work(m->context, (int)task);
    keep_larger(&m->last_end, now_ns());
}

double fov_limit_together(int n_threads, fov_limit_work prepare, fov_limit_work work, void *context)
{
    meeting m = {.n_threads = n_threads, .prepare = prepare, .work = work, .context = context, .first_start = INT64_MAX};
    fov_parallel_for(n_threads, n_threads, attend, &m);
    if (atomic_load(&m.called_off)) return FOV_LIMIT_NOT_RUN;
    return 1e-9 * (double)(atomic_load(&m.last_end) - atomic_load(&m.first_start));
}
