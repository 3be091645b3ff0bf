/* Multiply-add peak of one real type: chains of x = x a + b that stay in registers. Included once per FOV_REAL_BITS.
 * 3 x FOV_SCORE_KEYS chains are the accumulators of the score kernel. A multiply-add takes 4 cycles and starts 2 (x86) to 4
 * (large ARM cores) times a cycle, so 8 to 16 chains are the least; a, b and 24 chains still fit into 32 registers. */
#include "simd/vec_real.h"

static double FOV_NAME(probe_fma)(int64_t n_rounds, const real *start)
{
    enum { N_CHAINS = 3 * FOV_SCORE_KEYS };
    vr x[N_CHAINS], a = vr_set1((real)0.5), b = vr_set1(start[0]);
#pragma GCC unroll 24
    for (int i = 0; i < N_CHAINS; i++) x[i] = vr_load(start + i * VR_LANES);
    for (int64_t round = 0; round < n_rounds; round++) {
#pragma GCC unroll 24
        for (int i = 0; i < N_CHAINS; i++) x[i] = vr_fma(x[i], a, b);
    }
    vr sum = x[0];
#pragma GCC unroll 24
    for (int i = 1; i < N_CHAINS; i++) sum = vr_add(sum, x[i]);
    return (double)vr_hsum(sum);
}
