/* The vector contract in plain C on the compiler's generic vectors of 16 bytes: any CPU, no ISA flags. See vec.h. */
#ifndef FOV_VEC_SCALAR_H
#define FOV_VEC_SCALAR_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "simd/half.h"
#if defined(__SSE2__)
#include "simd/mxcsr.h"
#elif defined(__aarch64__)
#include "simd/fpcr.h"
#endif

#define VF32_LANES 4
#define VF64_LANES 2
#define FOV_SCORE_KEYS 4
#define FOV_ADDITIVE_KEYS 2 /* keys that share the loads of the queries' codes */
#define FOV_ROWS_VECTORS 2 /* few rows, combine: 4 rows x so many vectors of value_dim */
#define FOV_EIGHT_ROWS_VECTORS 0
#define FOV_LINE_VECTORS 1

typedef float vf32 __attribute__((vector_size(16)));
typedef double vf64 __attribute__((vector_size(16)));
typedef int32_t mf32 __attribute__((vector_size(16)));
typedef int64_t mf64 __attribute__((vector_size(16)));

FOV_INLINE vf32 vf32_set1(float x) { return (vf32){x, x, x, x}; }
FOV_INLINE vf32 vf32_zero(void) { return vf32_set1(0.f); }
FOV_INLINE vf32 vf32_load(const float *p)
{
    vf32 v;
    memcpy(&v, p, 16);
    return v;
}
FOV_INLINE void vf32_store(float *p, vf32 v) { memcpy(p, &v, 16); }
FOV_INLINE vf32 vf32_load_n(const float *p, int64_t n)
{
    vf32 v = vf32_zero();
    for (int64_t i = 0; i < n; i++) v[i] = p[i];
    return v;
}
FOV_INLINE void vf32_store_n(float *p, vf32 v, int64_t n)
{
    for (int64_t i = 0; i < n; i++) p[i] = v[i];
}
FOV_INLINE vf32 vf32_add(vf32 a, vf32 b) { return a + b; }
FOV_INLINE vf32 vf32_sub(vf32 a, vf32 b) { return a - b; }
FOV_INLINE vf32 vf32_mul(vf32 a, vf32 b) { return a * b; }
FOV_INLINE vf32 vf32_div(vf32 a, vf32 b) { return a / b; }
FOV_INLINE vf32 vf32_reciprocal(vf32 x) { return 1 / x; }
FOV_INLINE vf32 vf32_small_reciprocal(vf32 x) { return vf32_reciprocal(x); }
FOV_INLINE vf32 vf32_fma(vf32 a, vf32 b, vf32 c) { return a * b + c; } /* two roundings: inside the same bound */
FOV_INLINE void vf32_add_product(vf32 *sum, vf32 a, vf32 b) { *sum = vf32_fma(a, b, *sum); }
FOV_INLINE vf32 vf32_mul_error(vf32 a, vf32 b, vf32 p)
{
    for (int i = 0; i < 4; i++) a[i] = (float)((double)a[i] * (double)b[i] - (double)p[i]);
    return a;
}
FOV_INLINE mf32 vf32_gt(vf32 a, vf32 b) { return a > b; }
FOV_INLINE mf32 vf32_eq(vf32 a, vf32 b) { return a == b; }
FOV_INLINE mf32 vf32_above(vf32 a, vf32 b) { return ~(a <= b); }
FOV_INLINE vf32 vf32_select(mf32 m, vf32 a, vf32 b) { return (vf32)((m & (mf32)a) | (~m & (mf32)b)); }
FOV_INLINE vf32 vf32_max(vf32 a, vf32 b) { return vf32_select(a > b, a, b); }
FOV_INLINE vf32 vf32_min(vf32 a, vf32 b) { return vf32_select(a < b, a, b); }
FOV_INLINE mf32 vf32_m_or(mf32 a, mf32 b) { return a | b; }
FOV_INLINE int vf32_any(mf32 m) { return (m[0] | m[1] | m[2] | m[3]) != 0; }
FOV_INLINE uint32_t vf32_m_bits(mf32 m) { return (uint32_t)((m[0] & 1) | (m[1] & 2) | (m[2] & 4) | (m[3] & 8)); }
FOV_INLINE mf32 vf32_bits(const uint32_t *words, int bit)
{
    typedef uint32_t vu __attribute__((vector_size(16)));
    vu w;
    memcpy(&w, words, 16);
    return ((w >> (uint32_t)bit) & 1u) != 0u;
}
FOV_INLINE vf32 vf32_swap(vf32 v, int step)
{
    return step == 1 ? (vf32){v[1], v[0], v[3], v[2]} : (vf32){v[2], v[3], v[0], v[1]};
}
FOV_INLINE float vf32_hsum(vf32 v) { return (v[0] + v[2]) + (v[1] + v[3]); }
FOV_INLINE vf32 vf32_clamp2(vf32 y) { return vf32_min(vf32_set1(128.f), vf32_max(vf32_set1(-127.f), y)); }
/* 1.5 * 2^23 pushes the fraction out of an f32 of magnitude under 2^22; floor = nearest - (nearest > y) */
FOV_INLINE vf32 vf32_nearest(vf32 y)
{
    vf32 big = vf32_set1(0x1.8p23f), limit = vf32_set1(0x1p22f), r = (y + big) - big;
    return vf32_select((y < limit) & (y > -limit), r, y);
}
FOV_INLINE vf32 vf32_floor_small(vf32 y)
{
    vf32 r = vf32_nearest(y);
    return r - (vf32)((r > y) & (mf32)vf32_set1(1.f));
}
FOV_INLINE vf32 vf32_fract(vf32 y)
{
    y = vf32_clamp2(y);
    return y - vf32_floor_small(y);
}
FOV_INLINE vf32 vf32_scale2(vf32 p, vf32 y)
{
    /* n + 127 is in the low bits of 2^23 + n + 127 for n in [-127, 128]; a NaN makes garbage that p, NaN too, hides */
    vf32 shifted = vf32_floor_small(vf32_clamp2(y)) + vf32_set1(0x1p23f + 127.f);
    typedef uint32_t vu __attribute__((vector_size(16)));
    return p * (vf32)((vu)shifted << 23);
}

FOV_INLINE vf64 vf64_set1(double x) { return (vf64){x, x}; }
FOV_INLINE vf64 vf64_zero(void) { return vf64_set1(0.0); }
FOV_INLINE vf64 vf64_load(const double *p)
{
    vf64 v;
    memcpy(&v, p, 16);
    return v;
}
FOV_INLINE void vf64_store(double *p, vf64 v) { memcpy(p, &v, 16); }
FOV_INLINE vf64 vf64_load_n(const double *p, int64_t n)
{
    vf64 v = vf64_zero();
    for (int64_t i = 0; i < n; i++) v[i] = p[i];
    return v;
}
FOV_INLINE void vf64_store_n(double *p, vf64 v, int64_t n)
{
    for (int64_t i = 0; i < n; i++) p[i] = v[i];
}
FOV_INLINE vf64 vf64_add(vf64 a, vf64 b) { return a + b; }
FOV_INLINE vf64 vf64_sub(vf64 a, vf64 b) { return a - b; }
FOV_INLINE vf64 vf64_mul(vf64 a, vf64 b) { return a * b; }
FOV_INLINE vf64 vf64_div(vf64 a, vf64 b) { return a / b; }
FOV_INLINE vf64 vf64_reciprocal(vf64 x) { return 1 / x; }
FOV_INLINE vf64 vf64_small_reciprocal(vf64 x) { return vf64_reciprocal(x); }
FOV_INLINE vf64 vf64_fma(vf64 a, vf64 b, vf64 c) { return a * b + c; }
FOV_INLINE void vf64_add_product(vf64 *sum, vf64 a, vf64 b) { *sum = vf64_fma(a, b, *sum); }
FOV_INLINE vf64 vf64_mul_error(vf64 a, vf64 b, vf64 p) { return (vf64){fma(a[0], b[0], -p[0]), fma(a[1], b[1], -p[1])}; }
FOV_INLINE mf64 vf64_gt(vf64 a, vf64 b) { return a > b; }
FOV_INLINE mf64 vf64_eq(vf64 a, vf64 b) { return a == b; }
FOV_INLINE mf64 vf64_above(vf64 a, vf64 b) { return ~(a <= b); }
FOV_INLINE vf64 vf64_select(mf64 m, vf64 a, vf64 b) { return (vf64)((m & (mf64)a) | (~m & (mf64)b)); }
FOV_INLINE vf64 vf64_max(vf64 a, vf64 b) { return vf64_select(a > b, a, b); }
FOV_INLINE vf64 vf64_min(vf64 a, vf64 b) { return vf64_select(a < b, a, b); }
FOV_INLINE mf64 vf64_m_or(mf64 a, mf64 b) { return a | b; }
FOV_INLINE int vf64_any(mf64 m) { return (m[0] | m[1]) != 0; }
FOV_INLINE uint32_t vf64_m_bits(mf64 m) { return (uint32_t)((m[0] & 1) | (m[1] & 2)); }
FOV_INLINE mf64 vf64_bits(const uint32_t *words, int bit)
{
    return (mf64){-(int64_t)((words[0] >> bit) & 1u), -(int64_t)((words[1] >> bit) & 1u)};
}
FOV_INLINE vf64 vf64_swap(vf64 v, int step) { return (void)step, (vf64){v[1], v[0]}; }
FOV_INLINE double vf64_hsum(vf64 v) { return v[0] + v[1]; }
FOV_INLINE vf64 vf64_clamp2(vf64 y) { return vf64_min(vf64_set1(1024.0), vf64_max(vf64_set1(-1023.0), y)); }
FOV_INLINE vf64 vf64_nearest(vf64 y)
{
    vf64 big = vf64_set1(0x1.8p52), limit = vf64_set1(0x1p51), r = (y + big) - big;
    return vf64_select((y < limit) & (y > -limit), r, y);
}
FOV_INLINE vf64 vf64_floor_small(vf64 y)
{
    vf64 r = vf64_nearest(y);
    return r - (vf64)((r > y) & (mf64)vf64_set1(1.0));
}
FOV_INLINE vf64 vf64_fract(vf64 y)
{
    y = vf64_clamp2(y);
    return y - vf64_floor_small(y);
}
FOV_INLINE vf64 vf64_scale2(vf64 p, vf64 y)
{
    vf64 shifted = vf64_floor_small(vf64_clamp2(y)) + vf64_set1(0x1p52 + 1023.0);
    typedef uint64_t vu __attribute__((vector_size(16)));
    return p * (vf64)((vu)shifted << 52);
}

FOV_INLINE vf32 vf32_load_f16(const void *p)
{
    uint16_t h[4];
    memcpy(h, p, 8);
    return (vf32){fov_f16_to_f32(h[0]), fov_f16_to_f32(h[1]), fov_f16_to_f32(h[2]), fov_f16_to_f32(h[3])};
}
FOV_INLINE void vf32_store_f16(void *p, vf32 v)
{
    uint16_t h[4];
    for (int i = 0; i < 4; i++) h[i] = fov_f32_to_f16(v[i]);
    memcpy(p, h, 8);
}
FOV_INLINE vf32 vf32_load_bf16(const void *p)
{
    uint16_t h[4];
    memcpy(h, p, 8);
    return (vf32){fov_bf16_to_f32(h[0]), fov_bf16_to_f32(h[1]), fov_bf16_to_f32(h[2]), fov_bf16_to_f32(h[3])};
}
FOV_INLINE vf32 vf32_first_bf16(vf32 v) { return (vf32)((mf32)v << 16); }
FOV_INLINE vf32 vf32_second_bf16(vf32 v) { return (vf32)((mf32)v & (int32_t)0xffff0000u); }
FOV_INLINE void vf32_store_bf16(void *p, vf32 v)
{
    uint16_t h[4];
    for (int i = 0; i < 4; i++) h[i] = fov_f32_to_bf16(v[i]);
    memcpy(p, h, 8);
}
FOV_INLINE vf32 vf32_load_int8(const void *p)
{
    int8_t b[4];
    memcpy(b, p, 4);
    return (vf32){b[0], b[1], b[2], b[3]};
}
FOV_INLINE vf32 vf32_load_f8(const void *p)
{
    uint8_t b[4];
    memcpy(b, p, 4);
    return (vf32){fov_f8_to_f32(b[0]), fov_f8_to_f32(b[1]), fov_f8_to_f32(b[2]), fov_f8_to_f32(b[3])};
}
FOV_INLINE uint32_t vec_nonzero32(const void *p) { return fov_nonzero32(p); }

FOV_INLINE vf32 vf32_sums(const vf32 *v) { return (vf32){vf32_hsum(v[0]), vf32_hsum(v[1]), vf32_hsum(v[2]), vf32_hsum(v[3])}; }
FOV_INLINE vf64 vf64_sums(const vf64 *v) { return (vf64){vf64_hsum(v[0]), vf64_hsum(v[1])}; }
FOV_INLINE void vf64_transpose(vf64 *r)
{
    double x = r[0][1];
    r[0][1] = r[1][0];
    r[1][0] = x;
}
FOV_INLINE void vf32_transpose(vf32 *r)
{
    for (int i = 0; i < 4; i++)
        for (int j = i + 1; j < 4; j++) {
            float x = r[i][j];
            r[i][j] = r[j][i];
            r[j][i] = x;
        }
}
FOV_INLINE void vf32_load_transposed(const char *const *rows, int64_t at, vf32 *r)
{
    for (int i = 0; i < VF32_LANES; i++) r[i] = vf32_load((const float *)(rows[i] + at));
    vf32_transpose(r);
}

#if !defined(__SSE2__) && !defined(__aarch64__)
FOV_INLINE uint64_t vec_enter(void) { return 0; } /* whatever environment the platform has */
FOV_INLINE void vec_leave(uint64_t saved) { (void)saved; }
#endif

#endif
