/* The one door to threads. Backends: a pthreads pool (the default, and the refuge of forked children), OpenMP, none. */
#ifndef FOV_PARALLEL_H
#define FOV_PARALLEL_H

#include <stdint.h>

/* `thread` is in [0, n_threads): the index of a scratch area no other running task uses. */
typedef void (*fov_task_fn)(void *context, int64_t task, int thread);

/* Runs tasks 0 .. n_tasks-1, each once, in any order, on at most n_threads threads, the caller included;
 * returns when all are done. Never fails: with fewer threads than asked for, fewer work. */
void fov_parallel_for(int64_t n_tasks, int n_threads, fov_task_fn task, void *context);

/* The number of threads a call gets that asked for `requested` (<= 0: the default), at least 1. */
int fov_resolve_threads(int requested);

#endif
