/* Work on several threads at the same time. */
#ifndef FOV_TOGETHER_H
#define FOV_TOGETHER_H

#include <stdint.h>

double fov_limit_now(void); /* seconds */

typedef void (*fov_limit_work)(void *context, int i);

/* Calls prepare(context, i), then work(context, i), for i in [0, n_threads), each on its own thread; no work begins before all
 * are prepared. Returns the seconds from the first start to the last end of the work; FOV_LIMIT_NOT_RUN, with nothing called,
 * when the threads do not come together within 20 ms. `prepare` may be NULL. */
double fov_limit_together(int n_threads, fov_limit_work prepare, fov_limit_work work, void *context);

#endif
