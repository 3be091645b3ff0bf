/* The OpenMP backend: one region per call. libgomp ends the process when it cannot create a thread, and hangs in a
 * forked child; parallel.c keeps children away from here. */
#include <omp.h>

#include "backend.h"

void fov_openmp_run(fov_region *region, int n_threads)
{
#pragma omp parallel num_threads(n_threads) default(none) shared(region)
    fov_region_work(region, omp_get_thread_num());
}

int fov_openmp_max_threads(void) { return omp_get_max_threads(); }
