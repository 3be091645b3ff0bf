/* Largest errors of the functions of csrc/simd for one ISA: exp2, tanh and reciprocal over all floats, and over random doubles.
 * tools/ulp_sweep.py compiles it once per ISA, with -DFOV_ISA_<ISA> and -DFOV_ISA_NAME=<isa>, and runs it:
 *
 *     ulp_sweep EVERY COUNT      every EVERY-th of the 2^32 floats, COUNT random doubles per range
 *
 * One line per function: real function ulp at x, relative error in u at x, absolute error in u at x; u = 2^-24, 2^-53. The reference is
 * the C library, in double for floats and in long double for doubles. Results that the contract of vec.h calls exact (NaN, infinities,
 * 0 below the normal range, 2^0) are compared exactly and end the program with status 1 where they differ. */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simd/vec.h"

#define FOV_REAL_BITS 32
#include "simd/vec_real.h"

#include "simd/vec_math.h"
#undef FOV_REAL_BITS
#define FOV_REAL_BITS 64
#include "simd/vec_real.h"

#include "simd/vec_math.h"
#undef FOV_REAL_BITS

enum { BATCH = 4096 };
enum { EXP2, TANH, RECIPROCAL, N_FUNCTIONS };
static const char *const NAMES[] = {"exp2", "tanh", "reciprocal"};

typedef struct worst {
    double ulp, relative, absolute, ulp_at, relative_at, absolute_at;
} worst;

static worst f32_worst[N_FUNCTIONS], f64_worst[N_FUNCTIONS];
static int failed;

static void refuse(const char *type, int function, double x, double got)
{
    if (failed++ < 10) printf("wrong %s %s(%a) = %a\n", type, NAMES[function], x, got);
}

static void note(worst *w, double ulp, double relative, double absolute, double x)
{
    if (ulp > w->ulp) w->ulp = ulp, w->ulp_at = x;
    if (relative > w->relative) w->relative = relative, w->relative_at = x;
    if (absolute > w->absolute) w->absolute = absolute, w->absolute_at = x;
}

/* The distance of two neighbours in the binade of y; `digits` after the leading one. */
static long double step(double y, int digits)
{
    int exponent;
    (void)frexp(y, &exponent);
    return ldexpl(1, exponent - 1 - digits);
}

static void f32_apply(int function, const float *x, float *y)
{
    uint64_t saved = vec_enter();
    for (int i = 0; i < BATCH; i += VF32_LANES) {
        vf32 v = vf32_load(x + i);
        switch (function) {
        case EXP2: v = FOV_PASTE(exp2, f32, FOV_ISA_NAME)(v); break;
        case TANH: v = FOV_PASTE(tanh, f32, FOV_ISA_NAME)(v); break;
        default: v = vf32_reciprocal(v);
        }
        vf32_store(y + i, v);
    }
    vec_leave(saved);
}

static void f64_apply(int function, const double *x, double *y)
{
    uint64_t saved = vec_enter();
    for (int i = 0; i < BATCH; i += VF64_LANES) {
        vf64 v = vf64_load(x + i);
        switch (function) {
        case EXP2: v = FOV_PASTE(exp2, f64, FOV_ISA_NAME)(v); break;
        case TANH: v = FOV_PASTE(tanh, f64, FOV_ISA_NAME)(v); break;
        default: v = vf64_reciprocal(v);
        }
        vf64_store(y + i, v);
    }
    vec_leave(saved);
}

static void f32_compare(int function, float x, float got)
{
    if (x != x) {
        if (got == got) refuse("f32", function, (double)x, (double)got);
        return;
    }
    double wide = (double)x, y = function == EXP2 ? exp2(wide) : function == TANH ? tanh(wide) : 1 / wide;
    if (function == EXP2 && (x >= 128 || x < -126 || x == 0)) {
        float want = x >= 128 ? INFINITY : x == 0 ? 1.f : 0.f;
        if (got != want) refuse("f32", function, wide, (double)got);
        return;
    }
    if (function == RECIPROCAL && x > 0x1p126f) { /* an estimate that may be flushed */
        if (got != 0 && fabs((double)got - y) > 0x1p-149) refuse("f32", function, wide, (double)got);
        return;
    }
    double error = fabs((double)got - y), size = fabs(y);
    if (!(error <= 1)) {
        if (function != EXP2 || !(error <= size)) refuse("f32", function, wide, (double)got);
    }
    if (size < 0x1p-126) { /* tanh x of tiny x: flushed, or x */
        if (error > 0x1p-126) refuse("f32", function, wide, (double)got);
        return;
    }
    note(&f32_worst[function], error / (double)step(size, 23), error / size * 0x1p24, error * 0x1p24, wide);
}

static void f64_compare(int function, double x, double got)
{
    long double y = function == EXP2 ? exp2l((long double)x) : function == TANH ? tanhl((long double)x) : 1 / (long double)x;
    long double error = fabsl((long double)got - y), size = fabsl(y); /* an error of half a step may be no double */
    if (!(error <= size)) refuse("f64", function, x, got);
    if (size < 0x1p-1022L) return;
    note(&f64_worst[function], (double)(error / step((double)size, 52)), (double)(error / size * 0x1p53L),
         (double)(error * 0x1p53L), x);
}

static void sweep_f32(int function, int64_t every)
{
    static float x[BATCH], y[BATCH];
    const int64_t first = function == RECIPROCAL ? 0x3f800000 : 0, last = function == RECIPROCAL ? 0x7f800000 : INT64_C(1) << 32;
    for (int64_t bits = first; bits < last;) {
        int n = 0;
        for (; n < BATCH && bits < last; bits += every) {
            uint32_t word = (uint32_t)bits;
            memcpy(&x[n++], &word, 4);
        }
        for (int i = n; i < BATCH; i++) x[i] = 1;
        f32_apply(function, x, y);
        for (int i = 0; i < n; i++) f32_compare(function, x[i], y[i]);
    }
}

static double uniform(void) /* [0, 1): xorshift64* */
{
    static uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
    state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
    return (double)((state * UINT64_C(2685821657736338717)) >> 11) * 0x1p-53;
}

static double draw(int function, int range)
{
    double sign = uniform() < 0.5 ? -1 : 1;
    if (function == RECIPROCAL) return (1 + uniform()) * exp2(floor(range ? 8 * uniform() : 1022 * uniform()));
    if (range == 0) return function == EXP2 ? -1022 + 2046 * uniform() : 20 * (2 * uniform() - 1);
    if (range == 1) return 2 * uniform() - 1;
    return sign * (1 + uniform()) * exp2(-floor(60 * uniform())); /* every binade below 2 */
}

static void sweep_f64(int function, int64_t count)
{
    static double x[BATCH], y[BATCH];
    for (int range = 0; range < 3; range++)
        for (int64_t done = 0; done < count; done += BATCH) {
            for (int i = 0; i < BATCH; i++) x[i] = draw(function, range);
            f64_apply(function, x, y);
            for (int i = 0; i < BATCH; i++) f64_compare(function, x[i], y[i]);
        }
}

static void print(const char *type, int function, const worst *w)
{
    printf("%s %s %.4f %a %.4f %a %.4f %a\n", type, NAMES[function], w->ulp, w->ulp_at, w->relative, w->relative_at, w->absolute,
           w->absolute_at);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    int64_t every = argc > 1 ? atoll(argv[1]) : 1, count = argc > 2 ? atoll(argv[2]) : 5000000;
    if (every < 1 || count < 0) return 2;
    for (int function = 0; function < N_FUNCTIONS; function++) {
        sweep_f32(function, every);
        print("f32", function, &f32_worst[function]);
        sweep_f64(function, count);
        print("f64", function, &f64_worst[function]);
    }
    return failed != 0;
}
