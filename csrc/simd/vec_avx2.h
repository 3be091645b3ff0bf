/* The vector contract on AVX2 + FMA + F16C. See vec.h. */
#ifndef FOV_VEC_AVX2_H
#define FOV_VEC_AVX2_H
#if !defined(__AVX2__) || !defined(__FMA__) || !defined(__F16C__)
#error "compile with the flags of the avx2 row of cmake/FoveateIsa.cmake"
#endif

#include <immintrin.h>
#include <stdint.h>

#include "simd/mxcsr.h"

#define VF32_LANES 8
#define VF64_LANES 4
#define FOV_SCORE_KEYS 4 /* 4 keys x 3 vectors of queries: 12 accumulators + 3 loads + 1 broadcast fill the 16 registers */
#define FOV_ADDITIVE_KEYS 2 /* keys that share the loads of the queries' codes */
#define FOV_ROWS_VECTORS 2 /* few rows, combine: 4 rows x so many vectors of value_dim */
#define FOV_EIGHT_ROWS_VECTORS 0 /* 8 x 2 sums would not fit */
#define FOV_LINE_VECTORS 4

typedef __m256 vf32;
typedef __m256d vf64;
typedef __m256 mf32;
typedef __m256d mf64;

FOV_INLINE __m256i vf32_tail(int64_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
FOV_INLINE vf32 vf32_zero(void) { return _mm256_setzero_ps(); }
FOV_INLINE vf32 vf32_set1(float x) { return _mm256_set1_ps(x); }
FOV_INLINE vf32 vf32_load(const float *p) { return _mm256_loadu_ps(p); }
FOV_INLINE void vf32_store(float *p, vf32 v) { _mm256_storeu_ps(p, v); }
FOV_INLINE vf32 vf32_load_n(const float *p, int64_t n) { return _mm256_maskload_ps(p, vf32_tail(n)); }
FOV_INLINE void vf32_store_n(float *p, vf32 v, int64_t n) { _mm256_maskstore_ps(p, vf32_tail(n), v); }
FOV_INLINE vf32 vf32_add(vf32 a, vf32 b) { return _mm256_add_ps(a, b); }
FOV_INLINE vf32 vf32_sub(vf32 a, vf32 b) { return _mm256_sub_ps(a, b); }
FOV_INLINE vf32 vf32_mul(vf32 a, vf32 b) { return _mm256_mul_ps(a, b); }
FOV_INLINE vf32 vf32_div(vf32 a, vf32 b) { return _mm256_div_ps(a, b); }
FOV_INLINE vf32 vf32_reciprocal(vf32 x) { return _mm256_div_ps(_mm256_set1_ps(1), x); }
FOV_INLINE vf32 vf32_small_reciprocal(vf32 x) { return vf32_reciprocal(x); }
FOV_INLINE vf32 vf32_fma(vf32 a, vf32 b, vf32 c) { return _mm256_fmadd_ps(a, b, c); }
FOV_INLINE void vf32_add_product(vf32 *sum, vf32 a, vf32 b) { __asm__("vfmadd231ps %2, %1, %0" : "+x"(*sum) : "x"(a), "x"(b)); }
FOV_INLINE vf32 vf32_mul_error(vf32 a, vf32 b, vf32 p) { return _mm256_fmsub_ps(a, b, p); }
FOV_INLINE vf32 vf32_max(vf32 a, vf32 b) { return _mm256_max_ps(a, b); }
FOV_INLINE vf32 vf32_min(vf32 a, vf32 b) { return _mm256_min_ps(a, b); }
/* Clamped to [-127, 128], whose exponent fields are those of 0 and inf; NaN passes through the second operand. */
FOV_INLINE vf32 vf32_clamp2(vf32 y) { return _mm256_min_ps(_mm256_set1_ps(128.f), _mm256_max_ps(_mm256_set1_ps(-127.f), y)); }
FOV_INLINE vf32 vf32_fract(vf32 y)
{
    y = vf32_clamp2(y);
    return _mm256_sub_ps(y, _mm256_floor_ps(y));
}
FOV_INLINE vf32 vf32_scale2(vf32 p, vf32 y)
{
    __m256i n = _mm256_cvtps_epi32(_mm256_floor_ps(vf32_clamp2(y)));
    return _mm256_mul_ps(p, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23)));
}
FOV_INLINE vf32 vf32_nearest(vf32 y) { return _mm256_round_ps(y, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
FOV_INLINE mf32 vf32_gt(vf32 a, vf32 b) { return _mm256_cmp_ps(a, b, _CMP_GT_OQ); }
FOV_INLINE mf32 vf32_eq(vf32 a, vf32 b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
FOV_INLINE mf32 vf32_above(vf32 a, vf32 b) { return _mm256_cmp_ps(a, b, _CMP_NLE_UQ); }
FOV_INLINE vf32 vf32_select(mf32 m, vf32 a, vf32 b) { return _mm256_blendv_ps(b, a, m); }
FOV_INLINE mf32 vf32_m_or(mf32 a, mf32 b) { return _mm256_or_ps(a, b); }
FOV_INLINE int vf32_any(mf32 m) { return _mm256_movemask_ps(m) != 0; }
FOV_INLINE uint32_t vf32_m_bits(mf32 m) { return (uint32_t)_mm256_movemask_ps(m); }
FOV_INLINE mf32 vf32_bits(const uint32_t *words, int bit)
{
    __m256i one = _mm256_set1_epi32((int)(1u << bit));
    return _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_and_si256(_mm256_loadu_si256((const __m256i *)words), one), one));
}
FOV_INLINE vf32 vf32_swap(vf32 v, int step)
{
    return step == 1 ? _mm256_permute_ps(v, 0xb1) : step == 2 ? _mm256_permute_ps(v, 0x4e) : _mm256_permute2f128_ps(v, v, 0x01);
}
FOV_INLINE float vf32_hsum(vf32 v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

FOV_INLINE __m256i vf64_tail(int64_t n) { return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3)); }
FOV_INLINE vf64 vf64_zero(void) { return _mm256_setzero_pd(); }
FOV_INLINE vf64 vf64_set1(double x) { return _mm256_set1_pd(x); }
FOV_INLINE vf64 vf64_load(const double *p) { return _mm256_loadu_pd(p); }
FOV_INLINE void vf64_store(double *p, vf64 v) { _mm256_storeu_pd(p, v); }
FOV_INLINE vf64 vf64_load_n(const double *p, int64_t n) { return _mm256_maskload_pd(p, vf64_tail(n)); }
FOV_INLINE void vf64_store_n(double *p, vf64 v, int64_t n) { _mm256_maskstore_pd(p, vf64_tail(n), v); }
FOV_INLINE vf64 vf64_add(vf64 a, vf64 b) { return _mm256_add_pd(a, b); }
FOV_INLINE vf64 vf64_sub(vf64 a, vf64 b) { return _mm256_sub_pd(a, b); }
FOV_INLINE vf64 vf64_mul(vf64 a, vf64 b) { return _mm256_mul_pd(a, b); }
FOV_INLINE vf64 vf64_div(vf64 a, vf64 b) { return _mm256_div_pd(a, b); }
FOV_INLINE vf64 vf64_reciprocal(vf64 x) { return _mm256_div_pd(_mm256_set1_pd(1), x); }
FOV_INLINE vf64 vf64_small_reciprocal(vf64 x) { return vf64_reciprocal(x); }
FOV_INLINE vf64 vf64_fma(vf64 a, vf64 b, vf64 c) { return _mm256_fmadd_pd(a, b, c); }
FOV_INLINE void vf64_add_product(vf64 *sum, vf64 a, vf64 b) { __asm__("vfmadd231pd %2, %1, %0" : "+x"(*sum) : "x"(a), "x"(b)); }
FOV_INLINE vf64 vf64_mul_error(vf64 a, vf64 b, vf64 p) { return _mm256_fmsub_pd(a, b, p); }
FOV_INLINE vf64 vf64_max(vf64 a, vf64 b) { return _mm256_max_pd(a, b); }
FOV_INLINE vf64 vf64_min(vf64 a, vf64 b) { return _mm256_min_pd(a, b); }
FOV_INLINE vf64 vf64_clamp2(vf64 y) { return _mm256_min_pd(_mm256_set1_pd(1024.0), _mm256_max_pd(_mm256_set1_pd(-1023.0), y)); }
FOV_INLINE vf64 vf64_fract(vf64 y)
{
    y = vf64_clamp2(y);
    return _mm256_sub_pd(y, _mm256_floor_pd(y));
}
FOV_INLINE vf64 vf64_scale2(vf64 p, vf64 y)
{
    __m256i n = _mm256_cvtepi32_epi64(_mm256_cvtpd_epi32(_mm256_floor_pd(vf64_clamp2(y))));
    return _mm256_mul_pd(p, _mm256_castsi256_pd(_mm256_slli_epi64(_mm256_add_epi64(n, _mm256_set1_epi64x(1023)), 52)));
}
FOV_INLINE vf64 vf64_nearest(vf64 y) { return _mm256_round_pd(y, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
FOV_INLINE mf64 vf64_gt(vf64 a, vf64 b) { return _mm256_cmp_pd(a, b, _CMP_GT_OQ); }
FOV_INLINE mf64 vf64_eq(vf64 a, vf64 b) { return _mm256_cmp_pd(a, b, _CMP_EQ_OQ); }
FOV_INLINE mf64 vf64_above(vf64 a, vf64 b) { return _mm256_cmp_pd(a, b, _CMP_NLE_UQ); }
FOV_INLINE vf64 vf64_select(mf64 m, vf64 a, vf64 b) { return _mm256_blendv_pd(b, a, m); }
FOV_INLINE mf64 vf64_m_or(mf64 a, mf64 b) { return _mm256_or_pd(a, b); }
FOV_INLINE int vf64_any(mf64 m) { return _mm256_movemask_pd(m) != 0; }
FOV_INLINE uint32_t vf64_m_bits(mf64 m) { return (uint32_t)_mm256_movemask_pd(m); }
FOV_INLINE mf64 vf64_bits(const uint32_t *words, int bit)
{
    __m256i one = _mm256_set1_epi64x((int64_t)(1u << bit));
    __m256i wide = _mm256_cvtepu32_epi64(_mm_loadu_si128((const __m128i *)words));
    return _mm256_castsi256_pd(_mm256_cmpeq_epi64(_mm256_and_si256(wide, one), one));
}
FOV_INLINE vf64 vf64_swap(vf64 v, int step) { return step == 1 ? _mm256_permute_pd(v, 0x5) : _mm256_permute2f128_pd(v, v, 0x01); }
FOV_INLINE double vf64_hsum(vf64 v)
{
    __m128d s = _mm_add_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));
    return _mm_cvtsd_f64(_mm_add_sd(s, _mm_unpackhi_pd(s, s)));
}

FOV_INLINE vf32 vf32_load_f16(const void *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
FOV_INLINE void vf32_store_f16(void *p, vf32 v)
{
    _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
FOV_INLINE vf32 vf32_load_bf16(const void *p)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16));
}
FOV_INLINE vf32 vf32_first_bf16(vf32 v) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(v), 16)); }
FOV_INLINE vf32 vf32_second_bf16(vf32 v) { return _mm256_and_ps(v, _mm256_castsi256_ps(_mm256_set1_epi32((int)0xffff0000u))); }
FOV_INLINE void vf32_store_bf16(void *p, vf32 v)
{
    __m256i u = _mm256_castps_si256(v);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    __m256i rounded = _mm256_add_epi32(u, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    __m256i quiet = _mm256_or_si256(u, _mm256_set1_epi32(0x400000));
    rounded = _mm256_blendv_epi8(rounded, quiet, _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q)));
    __m256i high = _mm256_srli_epi32(rounded, 16); /* 0 .. 0xffff: the unsigned pack is exact */
    _mm_storeu_si128((__m128i *)p, _mm_packus_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1)));
}

FOV_INLINE vf32 vf32_load_int8(const void *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}
/* The bits of a byte seven to the left, sign in place, are the f16 of 2^-8 times the number; 0x7f is NaN. */
FOV_INLINE vf32 vf32_load_f8(const void *p)
{
    const __m128i most = _mm_set1_epi16(0x7f);
    __m128i wide = _mm_cvtepi8_epi16(_mm_loadl_epi64((const __m128i *)p));
    __m128i half = _mm_and_si128(_mm_slli_epi16(wide, 7), _mm_set1_epi16((int16_t)0xbf80));
    half = _mm_or_si128(half, _mm_and_si128(_mm_cmpeq_epi16(_mm_and_si128(wide, most), most), _mm_set1_epi16(0x7e00)));
    return _mm256_mul_ps(_mm256_cvtph_ps(half), _mm256_set1_ps(256));
}

FOV_INLINE vf32 vf32_sums(const vf32 *v)
{
    vf32 a = _mm256_hadd_ps(_mm256_hadd_ps(v[0], v[1]), _mm256_hadd_ps(v[2], v[3]));
    vf32 b = _mm256_hadd_ps(_mm256_hadd_ps(v[4], v[5]), _mm256_hadd_ps(v[6], v[7]));
    return _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
}
FOV_INLINE vf64 vf64_sums(const vf64 *v)
{
    vf64 a = _mm256_hadd_pd(v[0], v[1]), b = _mm256_hadd_pd(v[2], v[3]);
    return _mm256_add_pd(_mm256_permute2f128_pd(a, b, 0x20), _mm256_permute2f128_pd(a, b, 0x31));
}
FOV_INLINE void vf64_transpose(vf64 *r)
{
    vf64 a = _mm256_unpacklo_pd(r[0], r[1]), b = _mm256_unpackhi_pd(r[0], r[1]);
    vf64 c = _mm256_unpacklo_pd(r[2], r[3]), d = _mm256_unpackhi_pd(r[2], r[3]);
    r[0] = _mm256_permute2f128_pd(a, c, 0x20);
    r[1] = _mm256_permute2f128_pd(b, d, 0x20);
    r[2] = _mm256_permute2f128_pd(a, c, 0x31);
    r[3] = _mm256_permute2f128_pd(b, d, 0x31);
}
/* 16 shuffles where a transposition in registers takes 24: the upper halves come from memory into their place. */
FOV_INLINE void vf32_load_transposed(const char *const *rows, int64_t at, vf32 *r)
{
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4) {
        vf32 u[4];
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) {
            vf32 x = _mm256_castps128_ps256(_mm_loadu_ps((const float *)(rows[j] + at) + i));
            u[j] = _mm256_insertf128_ps(x, _mm_loadu_ps((const float *)(rows[j + 4] + at) + i), 1);
        }
        vf32 a = _mm256_unpacklo_ps(u[0], u[1]), b = _mm256_unpackhi_ps(u[0], u[1]);
        vf32 c = _mm256_unpacklo_ps(u[2], u[3]), d = _mm256_unpackhi_ps(u[2], u[3]);
        r[i] = _mm256_shuffle_ps(a, c, 0x44);
        r[i + 1] = _mm256_shuffle_ps(a, c, 0xee);
        r[i + 2] = _mm256_shuffle_ps(b, d, 0x44);
        r[i + 3] = _mm256_shuffle_ps(b, d, 0xee);
    }
}
FOV_INLINE void vf32_transpose(vf32 *r)
{
    vf32 u[8];
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
        u[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        u[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(u[i], u[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(u[i], u[i + 2], 0xee);
        r[i + 2] = _mm256_shuffle_ps(u[i + 1], u[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(u[i + 1], u[i + 3], 0xee);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        u[i] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x20);
        u[i + 4] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x31);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) r[i] = u[i];
}

FOV_INLINE uint32_t vec_nonzero32(const void *p)
{
    __m256i zero = _mm256_cmpeq_epi8(_mm256_loadu_si256((const __m256i *)p), _mm256_setzero_si256());
    return ~(uint32_t)_mm256_movemask_epi8(zero);
}

#endif
