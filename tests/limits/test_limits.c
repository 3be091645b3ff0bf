/* The probes of csrc/limits, once on every ISA that runs here: they run, count their work, and refuse what they cannot do.
 * No speed is asserted. Prints what failed; the exit code is 1 then. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../csrc/limits/limits.h"
#include "../../csrc/parallel/parallel.h"

static int n_failures;
#define CHECK(condition, ...)                                                                                                    \
    do {                                                                                                                         \
        if (!(condition)) {                                                                                                      \
            printf("line %d: ", __LINE__);                                                                                       \
            printf(__VA_ARGS__);                                                                                                 \
            printf(" (%s is false)\n", #condition);                                                                              \
            n_failures++;                                                                                                        \
        }                                                                                                                        \
    } while (0)

enum { THREAD_BYTES = 64 * FOV_LIMIT_READ_STEP, N_ROUNDS = 1000, TRIES = 50 };

/* Chains: whole numbers of accumulators, at least the 8 that keep two 4-cycle units busy. */
static void check_fma(int isa, int real_bits, int n_threads)
{
    double flops = -1, seconds = FOV_LIMIT_NOT_RUN;
    for (int i = 0; i < TRIES && seconds < 0; i++) seconds = fov_limit_fma(isa, real_bits, n_threads, N_ROUNDS, &flops);
    double lanes = (double)fov_limit_vector_bits(isa) / real_bits, chains = flops / (2 * lanes * N_ROUNDS * n_threads);
    CHECK(seconds > 0, "%s f%d, %d threads: %g s", fov_isa_name(isa), real_bits, n_threads, seconds);
    CHECK(chains >= 8 && chains == floor(chains), "%s f%d: %g chains", fov_isa_name(isa), real_bits, chains);
}

static void check_read(int isa, const char *data, int n_threads, int from_dram)
{
    double seconds = FOV_LIMIT_NOT_RUN;
    for (int i = 0; i < TRIES && seconds < 0; i++) seconds = fov_limit_read(isa, data, THREAD_BYTES, n_threads, 10, from_dram);
    CHECK(seconds > 0, "%s, %d threads, from_dram %d: %g s", fov_isa_name(isa), n_threads, from_dram, seconds);
}

static void check_refusals(int isa, const char *data)
{
    double flops;
    CHECK(fov_limit_fma(isa, 32, 1, 1, &flops) == FOV_LIMIT_NOT_RUN, "fma on ISA %d", isa);
    CHECK(fov_limit_read(isa, data, THREAD_BYTES, 1, 1, 0) == FOV_LIMIT_NOT_RUN, "read on ISA %d", isa);
}

/* A region inside a region gets one thread: nobody else comes, and the probe must say so instead of waiting for ever. */
static void check_nobody_comes(void *context, int64_t task, int thread)
{
    (void)context, (void)thread;
    if (task != 0) return;
    CHECK(fov_limit_fork_join(2, 1, 1) == FOV_LIMIT_NOT_RUN, "a meeting of one");
}

int main(void)
{
    int n_threads = fov_get_available_threads() >= 2 && strcmp(fov_threading_layer(), "none") != 0 ? 2 : 1, n_isas = 0;
    char *data = malloc((size_t)n_threads * THREAD_BYTES);
    if (data == NULL) return 1;
    memset(data, 1, (size_t)n_threads * THREAD_BYTES);

    for (; fov_isa_name(n_isas) != NULL; n_isas++) {
        CHECK(fov_limit_vector_bits(n_isas) >= 128, "%s", fov_isa_name(n_isas));
        if (!fov_isa_available(n_isas)) {
            check_refusals(n_isas, data);
            continue;
        }
        for (int n = 1; n <= n_threads; n++) {
            check_fma(n_isas, 32, n);
            check_fma(n_isas, 64, n);
            check_read(n_isas, data, n, 0);
            if (fov_limit_can_read_dram()) check_read(n_isas, data, n, 1);
        }
    }
    check_refusals(n_isas, data);
    check_refusals(-1, data);
    CHECK(fov_limit_vector_bits(n_isas) == 0, "no such ISA");
    CHECK(fov_limit_read(n_isas - 1, data, THREAD_BYTES + 64, 1, 1, 0) == FOV_LIMIT_NOT_RUN, "no multiple of the step");

    CHECK(fov_limit_fork_join(n_threads, 100, 0) >= 0, "empty tasks");
    CHECK(fov_limit_fork_join(1, 100, 1) >= 0, "one thread meets itself");
    fov_parallel_for(2, 2, check_nobody_comes, NULL);

    double flops;
    if (fov_limit_amx_ready() == FOV_LIMIT_AMX_READY)
        for (int loads = 0; loads < 2; loads++) {
            CHECK(fov_limit_amx(loads, 1, N_ROUNDS, &flops) > 0, "AMX, loads %d", loads);
            CHECK(flops == 4.0 * 2 * 16 * 16 * 32 * N_ROUNDS, "%g", flops);
        }
    else CHECK(fov_limit_amx(0, 1, N_ROUNDS, &flops) == FOV_LIMIT_NOT_RUN, "AMX is not ready");
    free(data);
    return n_failures > 0;
}
