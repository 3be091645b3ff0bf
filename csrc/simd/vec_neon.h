/* The vector contract on aarch64 Advanced SIMD (NEON). See vec.h. */
#ifndef FOV_VEC_NEON_H
#define FOV_VEC_NEON_H
#if !defined(__aarch64__) || !defined(__ARM_NEON)
#error "the neon row of cmake/FoveateIsa.cmake is for aarch64"
#endif

#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

#include "simd/fpcr.h"
#include "simd/half.h"

#define VF32_LANES 4
#define VF64_LANES 2
#define FOV_SCORE_KEYS 8 /* 8 keys x 3 vectors of queries: 24 accumulators + 3 loads + 1 broadcast of 32 registers */
#define FOV_ADDITIVE_KEYS 4 /* keys that share the loads of the queries' codes */
#define FOV_ROWS_VECTORS 4 /* few rows, combine: 4 rows x so many vectors of value_dim */
#define FOV_EIGHT_ROWS_VECTORS 0
#define FOV_LINE_VECTORS 4

typedef float32x4_t vf32;
typedef float64x2_t vf64;
typedef uint32x4_t mf32;
typedef uint64x2_t mf64;

FOV_INLINE vf32 vf32_zero(void) { return vdupq_n_f32(0.f); }
FOV_INLINE vf32 vf32_set1(float x) { return vdupq_n_f32(x); }
FOV_INLINE vf32 vf32_load(const float *p) { return vld1q_f32(p); }
FOV_INLINE void vf32_store(float *p, vf32 v) { vst1q_f32(p, v); }
FOV_INLINE vf32 vf32_load_n(const float *p, int64_t n)
{
    float t[4] = {0, 0, 0, 0};
    for (int64_t i = 0; i < n; i++) t[i] = p[i];
    return vld1q_f32(t);
}
FOV_INLINE void vf32_store_n(float *p, vf32 v, int64_t n)
{
    float t[4];
    vst1q_f32(t, v);
    for (int64_t i = 0; i < n; i++) p[i] = t[i];
}
FOV_INLINE vf32 vf32_add(vf32 a, vf32 b) { return vaddq_f32(a, b); }
FOV_INLINE vf32 vf32_sub(vf32 a, vf32 b) { return vsubq_f32(a, b); }
FOV_INLINE vf32 vf32_mul(vf32 a, vf32 b) { return vmulq_f32(a, b); }
FOV_INLINE vf32 vf32_div(vf32 a, vf32 b) { return vdivq_f32(a, b); }
FOV_INLINE vf32 vf32_reciprocal(vf32 x) { return vdivq_f32(vdupq_n_f32(1), x); }
FOV_INLINE vf32 vf32_small_reciprocal(vf32 x) { return vf32_reciprocal(x); }
FOV_INLINE vf32 vf32_fma(vf32 a, vf32 b, vf32 c) { return vfmaq_f32(c, a, b); }
FOV_INLINE mf32 vf32_gt(vf32 a, vf32 b) { return vcgtq_f32(a, b); }
FOV_INLINE mf32 vf32_eq(vf32 a, vf32 b) { return vceqq_f32(a, b); }
FOV_INLINE mf32 vf32_above(vf32 a, vf32 b) { return vmvnq_u32(vcleq_f32(a, b)); }
FOV_INLINE vf32 vf32_select(mf32 m, vf32 a, vf32 b) { return vbslq_f32(m, a, b); }
/* not fmax: the contract returns the second operand on NaN, as x86 does */
FOV_INLINE void vf32_add_product(vf32 *sum, vf32 a, vf32 b) { *sum = vf32_fma(a, b, *sum); }
FOV_INLINE vf32 vf32_mul_error(vf32 a, vf32 b, vf32 p) { return vfmaq_f32(vnegq_f32(p), a, b); }
FOV_INLINE vf32 vf32_max(vf32 a, vf32 b) { return vf32_select(vf32_gt(a, b), a, b); }
FOV_INLINE vf32 vf32_min(vf32 a, vf32 b) { return vf32_select(vf32_gt(b, a), a, b); }
FOV_INLINE vf32 vf32_clamp2(vf32 y) { return vf32_min(vf32_set1(128.f), vf32_max(vf32_set1(-127.f), y)); }
FOV_INLINE vf32 vf32_fract(vf32 y)
{
    y = vf32_clamp2(y);
    return vsubq_f32(y, vrndmq_f32(y));
}
FOV_INLINE vf32 vf32_scale2(vf32 p, vf32 y)
{
    int32x4_t n = vcvtq_s32_f32(vrndmq_f32(vf32_clamp2(y)));
    return vmulq_f32(p, vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23)));
}
FOV_INLINE vf32 vf32_nearest(vf32 y) { return vrndnq_f32(y); }
FOV_INLINE mf32 vf32_m_or(mf32 a, mf32 b) { return vorrq_u32(a, b); }
FOV_INLINE int vf32_any(mf32 m) { return vmaxvq_u32(m) != 0; }
FOV_INLINE uint32_t vf32_m_bits(mf32 m)
{
    const uint32x4_t bit = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32(m, bit));
}
FOV_INLINE mf32 vf32_bits(const uint32_t *words, int bit) { return vtstq_u32(vld1q_u32(words), vdupq_n_u32(1u << bit)); }
FOV_INLINE vf32 vf32_swap(vf32 v, int step) { return step == 1 ? vrev64q_f32(v) : vextq_f32(v, v, 2); }
FOV_INLINE float vf32_hsum(vf32 v) { return vaddvq_f32(v); }

FOV_INLINE vf64 vf64_zero(void) { return vdupq_n_f64(0.0); }
FOV_INLINE vf64 vf64_set1(double x) { return vdupq_n_f64(x); }
FOV_INLINE vf64 vf64_load(const double *p) { return vld1q_f64(p); }
FOV_INLINE void vf64_store(double *p, vf64 v) { vst1q_f64(p, v); }
FOV_INLINE vf64 vf64_load_n(const double *p, int64_t n)
{
    double t[2] = {0, 0};
    for (int64_t i = 0; i < n; i++) t[i] = p[i];
    return vld1q_f64(t);
}
FOV_INLINE void vf64_store_n(double *p, vf64 v, int64_t n)
{
    double t[2];
    vst1q_f64(t, v);
    for (int64_t i = 0; i < n; i++) p[i] = t[i];
}
FOV_INLINE vf64 vf64_add(vf64 a, vf64 b) { return vaddq_f64(a, b); }
FOV_INLINE vf64 vf64_sub(vf64 a, vf64 b) { return vsubq_f64(a, b); }
FOV_INLINE vf64 vf64_mul(vf64 a, vf64 b) { return vmulq_f64(a, b); }
FOV_INLINE vf64 vf64_div(vf64 a, vf64 b) { return vdivq_f64(a, b); }
FOV_INLINE vf64 vf64_reciprocal(vf64 x) { return vdivq_f64(vdupq_n_f64(1), x); }
FOV_INLINE vf64 vf64_small_reciprocal(vf64 x) { return vf64_reciprocal(x); }
FOV_INLINE vf64 vf64_fma(vf64 a, vf64 b, vf64 c) { return vfmaq_f64(c, a, b); }
FOV_INLINE mf64 vf64_gt(vf64 a, vf64 b) { return vcgtq_f64(a, b); }
FOV_INLINE mf64 vf64_eq(vf64 a, vf64 b) { return vceqq_f64(a, b); }
FOV_INLINE mf64 vf64_above(vf64 a, vf64 b) { return veorq_u64(vcleq_f64(a, b), vdupq_n_u64(~UINT64_C(0))); }
FOV_INLINE vf64 vf64_select(mf64 m, vf64 a, vf64 b) { return vbslq_f64(m, a, b); }
FOV_INLINE void vf64_add_product(vf64 *sum, vf64 a, vf64 b) { *sum = vf64_fma(a, b, *sum); }
FOV_INLINE vf64 vf64_mul_error(vf64 a, vf64 b, vf64 p) { return vfmaq_f64(vnegq_f64(p), a, b); }
FOV_INLINE vf64 vf64_max(vf64 a, vf64 b) { return vf64_select(vf64_gt(a, b), a, b); }
FOV_INLINE vf64 vf64_min(vf64 a, vf64 b) { return vf64_select(vf64_gt(b, a), a, b); }
FOV_INLINE vf64 vf64_clamp2(vf64 y) { return vf64_min(vf64_set1(1024.0), vf64_max(vf64_set1(-1023.0), y)); }
FOV_INLINE vf64 vf64_fract(vf64 y)
{
    y = vf64_clamp2(y);
    return vsubq_f64(y, vrndmq_f64(y));
}
FOV_INLINE vf64 vf64_scale2(vf64 p, vf64 y)
{
    int64x2_t n = vcvtq_s64_f64(vrndmq_f64(vf64_clamp2(y)));
    return vmulq_f64(p, vreinterpretq_f64_s64(vshlq_n_s64(vaddq_s64(n, vdupq_n_s64(1023)), 52)));
}
FOV_INLINE vf64 vf64_nearest(vf64 y) { return vrndnq_f64(y); }
FOV_INLINE mf64 vf64_m_or(mf64 a, mf64 b) { return vorrq_u64(a, b); }
FOV_INLINE int vf64_any(mf64 m) { return (vgetq_lane_u64(m, 0) | vgetq_lane_u64(m, 1)) != 0; }
FOV_INLINE uint32_t vf64_m_bits(mf64 m) { return (uint32_t)(vgetq_lane_u64(m, 0) & 1) | (uint32_t)(vgetq_lane_u64(m, 1) & 2); }
FOV_INLINE mf64 vf64_bits(const uint32_t *words, int bit)
{
    return vtstq_u64(vmovl_u32(vld1_u32(words)), vdupq_n_u64(1u << bit));
}
FOV_INLINE vf64 vf64_swap(vf64 v, int step) { return (void)step, vextq_f64(v, v, 1); }
FOV_INLINE double vf64_hsum(vf64 v) { return vaddvq_f64(v); }

FOV_INLINE vf32 vf32_load_f16(const void *p)
{
    uint16x4_t h;
    memcpy(&h, p, 8);
    return vcvt_f32_f16(vreinterpret_f16_u16(h));
}
FOV_INLINE void vf32_store_f16(void *p, vf32 v)
{
    uint16x4_t h = vreinterpret_u16_f16(vcvt_f16_f32(v));
    memcpy(p, &h, 8);
}
FOV_INLINE vf32 vf32_load_bf16(const void *p)
{
    uint16x4_t h;
    memcpy(&h, p, 8);
    return vreinterpretq_f32_u32(vshll_n_u16(h, 16));
}
FOV_INLINE vf32 vf32_first_bf16(vf32 v) { return vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_f32(v), 16)); }
FOV_INLINE vf32 vf32_second_bf16(vf32 v)
{
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(v), vdupq_n_u32(0xffff0000u)));
}
FOV_INLINE void vf32_store_bf16(void *p, vf32 v)
{
    uint32x4_t u = vreinterpretq_u32_f32(v), odd = vandq_u32(vshrq_n_u32(u, 16), vdupq_n_u32(1));
    uint32x4_t rounded = vaddq_u32(u, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
    rounded = vbslq_u32(vceqq_f32(v, v), rounded, vorrq_u32(u, vdupq_n_u32(0x400000)));
    uint16x4_t h = vshrn_n_u32(rounded, 16);
    memcpy(p, &h, 8);
}
FOV_INLINE vf32 vf32_load_int8(const void *p)
{
    int8_t b[8] = {0};
    memcpy(b, p, 4);
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vld1_s8(b)))));
}
/* The bits of a byte seven to the left, sign in place, are the f16 of 2^-8 times the number; 0x7f is NaN. */
FOV_INLINE vf32 vf32_load_f8(const void *p)
{
    int8_t b[8] = {0};
    memcpy(b, p, 4);
    uint16x4_t wide = vreinterpret_u16_s16(vget_low_s16(vmovl_s8(vld1_s8(b)))), most = vdup_n_u16(0x7f);
    uint16x4_t half = vand_u16(vshl_n_u16(wide, 7), vdup_n_u16(0xbf80));
    half = vorr_u16(half, vand_u16(vceq_u16(vand_u16(wide, most), most), vdup_n_u16(0x7e00)));
    return vmulq_n_f32(vcvt_f32_f16(vreinterpret_f16_u16(half)), 256);
}
FOV_INLINE uint32_t vec_nonzero32(const void *p) { return fov_nonzero32(p); }

FOV_INLINE vf32 vf32_sums(const vf32 *v) { return vpaddq_f32(vpaddq_f32(v[0], v[1]), vpaddq_f32(v[2], v[3])); }
FOV_INLINE vf64 vf64_sums(const vf64 *v) { return vpaddq_f64(v[0], v[1]); }
FOV_INLINE void vf64_transpose(vf64 *r)
{
    vf64 a = vzip1q_f64(r[0], r[1]);
    r[1] = vzip2q_f64(r[0], r[1]);
    r[0] = a;
}
FOV_INLINE void vf32_transpose(vf32 *r)
{
    float32x4x2_t a = vtrnq_f32(r[0], r[1]), b = vtrnq_f32(r[2], r[3]);
    r[0] = vcombine_f32(vget_low_f32(a.val[0]), vget_low_f32(b.val[0]));
    r[1] = vcombine_f32(vget_low_f32(a.val[1]), vget_low_f32(b.val[1]));
    r[2] = vcombine_f32(vget_high_f32(a.val[0]), vget_high_f32(b.val[0]));
    r[3] = vcombine_f32(vget_high_f32(a.val[1]), vget_high_f32(b.val[1]));
}
FOV_INLINE void vf32_load_transposed(const char *const *rows, int64_t at, vf32 *r)
{
    for (int i = 0; i < VF32_LANES; i++) r[i] = vf32_load((const float *)(rows[i] + at));
    vf32_transpose(r);
}

#endif
