#include "limits/limits.h"

#include <math.h>
#include <stddef.h>

#include "dispatch/cpu.h"
#include "limits/probe_types.h"
#include "limits/together.h"
#include "parallel/parallel.h"

#define FOV_TILE_ISA(name)
#define FOV_ISA(name) extern const fov_probes fov_probes_##name;
#include "kernels/kernels.def"

static const struct {
    const char *name;
    const fov_probes *probes;
} isas[] = {
#define FOV_TILE_ISA(name) {#name, &fov_probes_avx512}, /* its vectors; its tile registers: limits_amx.c */
#define FOV_ISA(name) {#name, &fov_probes_##name},
#include "kernels/kernels.def"
};
enum { N_ISAS = sizeof isas / sizeof *isas };

static const fov_probes *probes_of(int isa)
{
    if (isa < 0 || isa >= N_ISAS || !fov_cpu_runs(isas[isa].name)) return NULL;
    return isas[isa].probes;
}

int fov_limit_vector_bits(int isa) { return isa >= 0 && isa < N_ISAS ? isas[isa].probes->vector_bits : 0; }

typedef struct fma_work {
    const fov_probes *probes;
    int real_bits;
    int64_t n_rounds;
    float start_f32[FOV_PROBE_STARTS];
    double start_f64[FOV_PROBE_STARTS];
} fma_work;

static void run_fma(void *context, int i)
{
    const fma_work *w = context;
    volatile double result; /* the stores keep the loop alive */
    (void)i;
    if (w->real_bits == 64) result = w->probes->fma_f64(w->n_rounds, w->start_f64);
    else result = w->probes->fma_f32(w->n_rounds, w->start_f32);
    (void)result;
}

double fov_limit_fma(int isa, int real_bits, int n_threads, int64_t n_rounds, double *flops)
{
    fma_work work = {.probes = probes_of(isa), .real_bits = real_bits, .n_rounds = n_rounds};
    if (work.probes == NULL) return FOV_LIMIT_NOT_RUN;
    for (int i = 0; i < FOV_PROBE_STARTS; i++) work.start_f64[i] = work.start_f32[i] = 1.f + (float)i / FOV_PROBE_STARTS;
    double per_round = 2.0 * work.probes->n_chains * (work.probes->vector_bits / real_bits);
    *flops = per_round * (double)n_rounds * n_threads;
    return fov_limit_together(n_threads, NULL, run_fma, &work);
}

typedef struct read_work {
    const fov_probes *probes;
    const char *data;
    int64_t thread_bytes, n_passes;
} read_work;

static void read_once(void *context, int i)
{
    const read_work *w = context;
    w->probes->read(w->data + i * w->thread_bytes, w->thread_bytes, 1);
}

static void run_read(void *context, int i)
{
    const read_work *w = context;
    w->probes->read(w->data + i * w->thread_bytes, w->thread_bytes, w->n_passes);
}

/* clflush and dc civac write a line back and drop it from every level, whichever core holds it. */
#if defined(__x86_64__) || defined(__i386__)
#define FOV_EVICT_LINE(p) __asm__ volatile("clflush (%0)" : : "r"(p) : "memory")
#define FOV_EVICT_WAIT() __asm__ volatile("mfence" : : : "memory")
#elif defined(__aarch64__) && defined(__linux__)
#define FOV_EVICT_LINE(p) __asm__ volatile("dc civac, %0" : : "r"(p) : "memory")
#define FOV_EVICT_WAIT() __asm__ volatile("dsb ish" : : : "memory")
#endif

#ifdef FOV_EVICT_LINE
int fov_limit_can_read_dram(void) { return 1; }

static void evict(void *context, int i)
{
    enum { LINE = 64 }; /* of all processors with these instructions but a few old small ones with 32 */
    const read_work *w = context;
    const char *data = w->data + i * w->thread_bytes;
    for (int64_t at = 0; at < w->thread_bytes; at += LINE) FOV_EVICT_LINE(data + at);
    FOV_EVICT_WAIT();
}
#else
int fov_limit_can_read_dram(void) { return 0; }

static void evict(void *context, int i) { (void)context, (void)i; }
#endif

double fov_limit_read(int isa, const void *data, int64_t thread_bytes, int n_threads, int64_t n_passes, int from_dram)
{
    read_work work = {.probes = probes_of(isa), .data = data, .thread_bytes = thread_bytes, .n_passes = n_passes};
    if (work.probes == NULL || thread_bytes % FOV_LIMIT_READ_STEP != 0) return FOV_LIMIT_NOT_RUN;
    if (from_dram && !fov_limit_can_read_dram()) return FOV_LIMIT_NOT_RUN;
    return fov_limit_together(n_threads, from_dram ? evict : read_once, run_read, &work);
}

static void no_work(void *context, int i) { (void)context, (void)i; }
static void no_task(void *context, int64_t task, int thread) { (void)context, (void)task, (void)thread; }

double fov_limit_fork_join(int n_threads, int n_regions, int meet)
{
    double best = INFINITY;
    for (int i = 0; i < n_regions; i++) {
        double begin = fov_limit_now();
        if (!meet) fov_parallel_for(n_threads, n_threads, no_task, NULL);
        else if (fov_limit_together(n_threads, NULL, no_work, NULL) < 0) return FOV_LIMIT_NOT_RUN;
        double seconds = fov_limit_now() - begin;
        if (seconds < best) best = seconds;
    }
    return best;
}
