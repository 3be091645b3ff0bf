/* What this machine can do at most: one repetition of a probe per call, so that the caller can interleave and pick the best.
 * Private to foveate.limits, and exported so that it can be reached; nothing here allocates.
 *
 * Every probe runs on n_threads threads at the same time and returns the seconds from the first start to the last end, or
 * FOV_LIMIT_NOT_RUN where that many threads do not come together or the machine cannot run it. */
#ifndef FOV_LIMITS_H
#define FOV_LIMITS_H

#include <stdint.h>

#include "foveate/foveate.h"

#define FOV_LIMIT_NOT_RUN (-1.0)

/* `isa` is an index of fov_isa_name(). 0 where there is no such ISA. */
FOV_API int fov_limit_vector_bits(int isa);

/* n_rounds of independent multiply-add chains in registers; real_bits is 32 or 64. *flops: of all threads, 2 per multiply-add. */
FOV_API double fov_limit_fma(int isa, int real_bits, int n_threads, int64_t n_rounds, double *flops);

/* Each thread reads thread_bytes of its own, n_passes times, with vector loads and nothing else. `data` holds n_threads such
 * pieces one after the other; it was written to, or else the system may map one page of zeros everywhere. thread_bytes is a
 * multiple of FOV_LIMIT_READ_STEP. Before, untimed: one pass, or, from_dram, the data leaves all caches (not every processor has
 * an instruction for that). */
#define FOV_LIMIT_READ_STEP 512
FOV_API double fov_limit_read(int isa, const void *data, int64_t thread_bytes, int n_threads, int64_t n_passes, int from_dram);
FOV_API int fov_limit_can_read_dram(void);

/* The fastest of n_regions calls of fov_parallel_for with one task per thread. `meet` = 0: empty tasks, which the caller may do
 * alone; 1: no task ends before all have started, each on its own thread. */
FOV_API double fov_limit_fork_join(int n_threads, int n_regions, int meet);

/* AMX bf16 products of 16 x 32 and 32 x 16 tiles into four accumulators; `with_loads` fetches four tiles per four products
 * from L1. */
typedef enum fov_limit_amx_state {
    FOV_LIMIT_AMX_READY = 0,
    FOV_LIMIT_AMX_ABSENT = 1,     /* the processor or the operating system has no AMX bf16 */
    FOV_LIMIT_AMX_REFUSED = 2,    /* the kernel does not give the permission */
    FOV_LIMIT_AMX_NOT_COMPILED = 3 /* the assembler that built this knew no AMX */
} fov_limit_amx_state;
FOV_API int fov_limit_amx_ready(void); /* asks the kernel for the permission where AMX is there */
FOV_API double fov_limit_amx(int with_loads, int n_threads, int64_t n_rounds, double *flops);

#endif
