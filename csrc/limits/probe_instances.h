/* The probes of one ISA. A probes_<isa>.c defines FOV_ISA_NAME and its vec.h switch, then includes this. */
#include <stdint.h>

#include "limits/limits.h"
#include "limits/probe_types.h"
#include "simd/vec.h"

#define FOV_REAL_BITS 32
#include "limits/probe_fma.h"
#undef FOV_REAL_BITS
#define FOV_REAL_BITS 64
#include "limits/probe_fma.h"

/* Makes the compiler load a vector without computing anything with it: an addition per load would hide a third load port. */
#if defined(__AVX512F__)
#define FOV_PROBE_KEEP(v) __asm__ volatile("" : : "v"(v))
#elif defined(__SSE2__)
#define FOV_PROBE_KEEP(v) __asm__ volatile("" : : "x"(v))
#elif defined(__aarch64__)
#define FOV_PROBE_KEEP(v) __asm__ volatile("" : : "w"(v))
#else
#define FOV_PROBE_KEEP(v) __asm__ volatile("" : : "m"(v))
#endif

static void read_all(const void *data, int64_t n_bytes, int64_t n_passes)
{
    enum { VECTOR_BYTES = VF32_LANES * 4, N_VECTORS = FOV_LIMIT_READ_STEP / VECTOR_BYTES };
    for (int64_t pass = 0; pass < n_passes; pass++)
        for (const char *p = data, *end = p + n_bytes; p < end; p += FOV_LIMIT_READ_STEP) {
#pragma GCC unroll 32
            for (int i = 0; i < N_VECTORS; i++) {
                vf32 v = vf32_load((const float *)(const void *)(p + i * VECTOR_BYTES));
                FOV_PROBE_KEEP(v);
            }
        }
}

#define FOV_JOIN_(a, b) a##b
#define FOV_JOIN(a, b) FOV_JOIN_(a, b)

const fov_probes FOV_JOIN(fov_probes_, FOV_ISA_NAME) = {
    .vector_bits = VF32_LANES * 32,
    .n_chains = 3 * FOV_SCORE_KEYS,
    .fma_f32 = FOV_JOIN(fov_probe_fma_f32_, FOV_ISA_NAME),
    .fma_f64 = FOV_JOIN(fov_probe_fma_f64_, FOV_ISA_NAME),
    .read = read_all,
};
