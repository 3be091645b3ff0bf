/* What parallel.c asks of a backend: run one region on some threads, return when every task is done. */
#ifndef FOV_BACKEND_H
#define FOV_BACKEND_H

#include <stdatomic.h>
#include <stdint.h>

#include "parallel.h"

enum { FOV_MAX_LISTS = 64 };

/* One call of fov_parallel_for. Tasks are dealt to n_lists lists like cards and handed out one by one, so a backend may bring any
 * number of threads. A thread begins with a list of its own: call after call it meets the same keys, which may still be in its L2. */
typedef struct fov_region {
    fov_task_fn task;
    void *context;
    int64_t n_tasks;
    int n_lists;
    _Atomic int64_t taken[FOV_MAX_LISTS];
} fov_region;

/* Takes tasks until none is left, then from other threads' lists; each thread of a region calls it once with its own `thread`. */
void fov_region_work(fov_region *region, int thread);

void fov_openmp_run(fov_region *region, int n_threads);
int fov_openmp_max_threads(void);

void fov_pool_run(fov_region *region, int n_threads);
void fov_pool_forget(void); /* for the child of a fork, where no worker exists any more */

#endif
