/* How many threads this process should use. The public half is in foveate.h. */
#ifndef FOV_THREADS_LIMIT_H
#define FOV_THREADS_LIMIT_H

#include "foveate/foveate.h"

/* No call gets more, whatever is asked for or written in the environment. */
enum { FOV_MAX_THREADS = 1024 };

/* Drops the cached affinity and quota; they are read again at the next call, and at least every second. */
void fov_limits_forget(void);

/* The default without the limit that OpenMP has in the calling thread: a setting of the whole process, which
 * threadpoolctl may save and put back later, in another thread. Exported for src/foveate/_threadpoolctl.py. */
FOV_API int fov_get_process_num_threads(void);

#endif
