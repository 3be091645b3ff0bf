/* fov_parallel_for: decides how many threads a call gets and which backend runs it. */
#include "parallel.h"

#include "backend.h"
#include "foveate/foveate.h"
#include "threads_limit.h"

#ifdef FOV_HAVE_PTHREADS
#include <pthread.h>
#endif
#if defined(FOV_HAVE_OPENMP) && defined(__linux__)
#include <stdio.h>
#include <string.h>
#endif

static _Thread_local int inside_region;

void fov_region_work(fov_region *region, int thread)
{
    int was_inside = inside_region;
    inside_region = 1;
    for (int i = 0; i < region->n_lists; i++) {
        int list = (thread + i) % region->n_lists;
        for (;;) {
            int64_t task = list + region->n_lists * atomic_fetch_add_explicit(&region->taken[list], 1, memory_order_relaxed);
            if (task >= region->n_tasks) break;
            region->task(region->context, task, thread);
        }
    }
    inside_region = was_inside;
}

static void run_serially(int64_t n_tasks, fov_task_fn task, void *context)
{
    for (int64_t i = 0; i < n_tasks; i++) task(context, i, 0);
}

#ifndef FOV_HAVE_PTHREADS

const char *fov_threading_layer(void) { return "none"; }

void fov_parallel_for(int64_t n_tasks, int n_threads, fov_task_fn task, void *context)
{
    (void)n_threads;
    run_serially(n_tasks, task, context);
}

#else

static _Atomic int threads_in_use; /* in the parallel regions of all callers */

#ifdef FOV_HAVE_OPENMP
static _Atomic int forked; /* this process is a fork without exec: libgomp may hang here, the pool does not */
#endif

static int openmp_is_usable(void)
{
#ifdef FOV_HAVE_OPENMP
    return !atomic_load_explicit(&forked, memory_order_relaxed);
#else
    return 0;
#endif
}

/* Only the forking thread lives on: callers and workers are gone, whatever they held or were about to do. */
static void after_fork_in_child(void)
{
#ifdef FOV_HAVE_OPENMP
    atomic_store(&forked, 1);
#endif
    atomic_store(&threads_in_use, 0);
    fov_pool_forget();
    fov_limits_forget();
}

/* A child may load this library only after the fork, while its parent had run OpenMP through another one.
 * The kernel remembers: PF_FORKNOEXEC among the task flags, the 9th field of stat. */
#ifdef FOV_HAVE_OPENMP
static int is_fork_without_exec(void)
{
    unsigned flags = 0;
#ifdef __linux__
    char line[1024];
    FILE *file = fopen("/proc/self/stat", "re");
    if (file == NULL) return 0;
    const char *after_name = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
    fclose(file);
    if (after_name == NULL || sscanf(after_name, ") %*c %*d %*d %*d %*d %*d %u", &flags) != 1) return 0;
#endif
    return (flags & 0x40) != 0;
}
#endif

/* At load, not at first use: a child must know of its fork even if its parent never called us. */
__attribute__((constructor)) static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, after_fork_in_child);
#ifdef FOV_HAVE_OPENMP
    if (is_fork_without_exec()) atomic_store(&forked, 1);
#endif
}

const char *fov_threading_layer(void) { return openmp_is_usable() ? "openmp" : "pthreads"; }

/* Takes up to n_threads of the `limit` threads that all callers share; at least the caller itself. */
static int reserve_threads(int n_threads, int limit)
{
    int used = atomic_load_explicit(&threads_in_use, memory_order_relaxed);
    int granted;
    do {
        int left = limit - used;
        granted = n_threads < left ? n_threads : left;
        if (granted < 1) granted = 1;
    } while (!atomic_compare_exchange_weak(&threads_in_use, &used, used + granted));
    return granted;
}

/* Calls that run serially are not counted: they are short, and would cost a long concurrent one a thread. */
void fov_parallel_for(int64_t n_tasks, int n_threads, fov_task_fn task, void *context)
{
    if (n_tasks <= 1 || n_threads <= 1 || inside_region) {
        run_serially(n_tasks, task, context);
        return;
    }
    int limit = fov_get_num_threads(); /* a call that asked for more than the default raises the limit to that */
    if (limit < n_threads) limit = n_threads;
    if (n_threads > n_tasks) n_threads = (int)n_tasks;

    int granted = reserve_threads(n_threads, limit);
    if (granted == 1) {
        run_serially(n_tasks, task, context);
    } else {
        fov_region region = {.task = task, .context = context, .n_tasks = n_tasks};
        region.n_lists = granted < FOV_MAX_LISTS ? granted : FOV_MAX_LISTS;
#ifdef FOV_HAVE_OPENMP
        if (openmp_is_usable()) fov_openmp_run(&region, granted);
        else
#endif
            fov_pool_run(&region, granted);
    }
    atomic_fetch_sub(&threads_in_use, granted);
}

#endif
