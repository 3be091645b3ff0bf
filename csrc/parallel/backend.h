/* What parallel.c asks of a backend: run one region on some threads, return when every task is done. */
#ifndef FOV_BACKEND_H
#define FOV_BACKEND_H

#include <stdatomic.h>
#include <stdint.h>

#include "parallel.h"

/* One call of fov_parallel_for. Tasks are handed out one by one, so a backend may bring any number of threads. */
typedef struct fov_region {
    fov_task_fn task;
    void *context;
    int64_t n_tasks;
    _Atomic int64_t next;
} fov_region;

/* Takes tasks until none is left; each thread of a region calls it once with its own `thread`. */
void fov_region_work(fov_region *region, int thread);

void fov_openmp_run(fov_region *region, int n_threads);
int fov_openmp_max_threads(void);

void fov_pool_run(fov_region *region, int n_threads);
void fov_pool_forget(void); /* for the child of a fork, where no worker exists any more */

#endif
