/* The vector contract on AVX-512 F, BW, DQ, VL. See vec.h. */
#ifndef FOV_VEC_AVX512_H
#define FOV_VEC_AVX512_H
#if !defined(__AVX512F__) || !defined(__AVX512BW__) || !defined(__AVX512DQ__) || !defined(__AVX512VL__)
#error "compile with the flags of the avx512 row of cmake/FoveateIsa.cmake"
#endif

#include <immintrin.h>
#include <stdint.h>

#include "simd/mxcsr.h"

#define VF32_LANES 16
#define VF64_LANES 8
#define FOV_SCORE_KEYS 8 /* 8 keys x 3 vectors of queries: 24 accumulators + 3 loads + 1 broadcast of 32 registers */
#define FOV_ADDITIVE_KEYS 4 /* keys that share the loads of the queries' codes */
#define FOV_ROWS_VECTORS 4 /* few rows, combine: 4 rows x so many vectors of value_dim */
#define FOV_EIGHT_ROWS_VECTORS 2 /* eight rows: 8 x 2 */
#define FOV_LINE_VECTORS 4 /* few rows: vectors of a key that are converted together */

typedef __m512 vf32;
typedef __m512d vf64;
typedef __mmask16 mf32;
typedef __mmask8 mf64;

FOV_INLINE mf32 vf32_tail(int64_t n) { return (mf32)((1u << n) - 1u); }
FOV_INLINE vf32 vf32_zero(void) { return _mm512_setzero_ps(); }
FOV_INLINE vf32 vf32_set1(float x) { return _mm512_set1_ps(x); }
FOV_INLINE vf32 vf32_load(const float *p) { return _mm512_loadu_ps(p); }
FOV_INLINE void vf32_store(float *p, vf32 v) { _mm512_storeu_ps(p, v); }
FOV_INLINE vf32 vf32_load_n(const float *p, int64_t n) { return _mm512_maskz_loadu_ps(vf32_tail(n), p); }
FOV_INLINE void vf32_store_n(float *p, vf32 v, int64_t n) { _mm512_mask_storeu_ps(p, vf32_tail(n), v); }
FOV_INLINE vf32 vf32_add(vf32 a, vf32 b) { return _mm512_add_ps(a, b); }
FOV_INLINE vf32 vf32_sub(vf32 a, vf32 b) { return _mm512_sub_ps(a, b); }
FOV_INLINE vf32 vf32_mul(vf32 a, vf32 b) { return _mm512_mul_ps(a, b); }
FOV_INLINE vf32 vf32_div(vf32 a, vf32 b) { return _mm512_div_ps(a, b); }
/* One Newton step on 14 bits: 3 cycles where a division takes 10. */
FOV_INLINE vf32 vf32_small_reciprocal(vf32 x)
{
    vf32 r = _mm512_rcp14_ps(x);
    return _mm512_fmadd_ps(_mm512_fnmadd_ps(x, r, _mm512_set1_ps(1.f)), r, r);
}
/* Beyond 2^126 the estimate is flushed to 0; inf times it would be NaN. */
FOV_INLINE vf32 vf32_reciprocal(vf32 x) { return vf32_small_reciprocal(_mm512_min_ps(_mm512_set1_ps(0x1p127f), x)); }
FOV_INLINE vf32 vf32_fma(vf32 a, vf32 b, vf32 c) { return _mm512_fmadd_ps(a, b, c); }
/* As an instruction: GCC 12 otherwise copies accumulators between registers and spills one of 24 + 4 (336 instructions where 312 do). */
FOV_INLINE void vf32_add_product(vf32 *sum, vf32 a, vf32 b) { __asm__("vfmadd231ps %2, %1, %0" : "+v"(*sum) : "v"(a), "v"(b)); }
FOV_INLINE vf32 vf32_mul_error(vf32 a, vf32 b, vf32 p) { return _mm512_fmsub_ps(a, b, p); }
FOV_INLINE vf32 vf32_max(vf32 a, vf32 b) { return _mm512_max_ps(a, b); }
FOV_INLINE vf32 vf32_min(vf32 a, vf32 b) { return _mm512_min_ps(a, b); }
FOV_INLINE vf32 vf32_fract(vf32 y) { return _mm512_reduce_ps(y, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
FOV_INLINE vf32 vf32_scale2(vf32 p, vf32 y) { return _mm512_scalef_ps(p, y); } /* FTZ makes results below 2^-126 exact zeros */
FOV_INLINE vf32 vf32_nearest(vf32 y) { return _mm512_roundscale_ps(y, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
FOV_INLINE mf32 vf32_gt(vf32 a, vf32 b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
FOV_INLINE mf32 vf32_eq(vf32 a, vf32 b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
FOV_INLINE mf32 vf32_above(vf32 a, vf32 b) { return _mm512_cmp_ps_mask(a, b, _CMP_NLE_UQ); }
FOV_INLINE vf32 vf32_select(mf32 m, vf32 a, vf32 b) { return _mm512_mask_blend_ps(m, b, a); }
FOV_INLINE mf32 vf32_m_or(mf32 a, mf32 b) { return (mf32)(a | b); }
FOV_INLINE int vf32_any(mf32 m) { return m != 0; }
FOV_INLINE uint32_t vf32_m_bits(mf32 m) { return m; }
FOV_INLINE mf32 vf32_bits(const uint32_t *words, int bit)
{
    return _mm512_test_epi32_mask(_mm512_loadu_si512(words), _mm512_set1_epi32((int)(1u << bit)));
}
FOV_INLINE vf32 vf32_swap(vf32 v, int step)
{
    return step == 1   ? _mm512_permute_ps(v, 0xb1)
           : step == 2 ? _mm512_permute_ps(v, 0x4e)
           : step == 4 ? _mm512_shuffle_f32x4(v, v, 0xb1)
                       : _mm512_shuffle_f32x4(v, v, 0x4e);
}
FOV_INLINE float vf32_hsum(vf32 v) { return _mm512_reduce_add_ps(v); }

FOV_INLINE mf64 vf64_tail(int64_t n) { return (mf64)((1u << n) - 1u); }
FOV_INLINE vf64 vf64_zero(void) { return _mm512_setzero_pd(); }
FOV_INLINE vf64 vf64_set1(double x) { return _mm512_set1_pd(x); }
FOV_INLINE vf64 vf64_load(const double *p) { return _mm512_loadu_pd(p); }
FOV_INLINE void vf64_store(double *p, vf64 v) { _mm512_storeu_pd(p, v); }
FOV_INLINE vf64 vf64_load_n(const double *p, int64_t n) { return _mm512_maskz_loadu_pd(vf64_tail(n), p); }
FOV_INLINE void vf64_store_n(double *p, vf64 v, int64_t n) { _mm512_mask_storeu_pd(p, vf64_tail(n), v); }
FOV_INLINE vf64 vf64_add(vf64 a, vf64 b) { return _mm512_add_pd(a, b); }
FOV_INLINE vf64 vf64_sub(vf64 a, vf64 b) { return _mm512_sub_pd(a, b); }
FOV_INLINE vf64 vf64_mul(vf64 a, vf64 b) { return _mm512_mul_pd(a, b); }
FOV_INLINE vf64 vf64_div(vf64 a, vf64 b) { return _mm512_div_pd(a, b); }
FOV_INLINE vf64 vf64_reciprocal(vf64 x) { return _mm512_div_pd(_mm512_set1_pd(1), x); }
FOV_INLINE vf64 vf64_small_reciprocal(vf64 x) { return vf64_reciprocal(x); }
FOV_INLINE vf64 vf64_fma(vf64 a, vf64 b, vf64 c) { return _mm512_fmadd_pd(a, b, c); }
FOV_INLINE void vf64_add_product(vf64 *sum, vf64 a, vf64 b) { __asm__("vfmadd231pd %2, %1, %0" : "+v"(*sum) : "v"(a), "v"(b)); }
FOV_INLINE vf64 vf64_mul_error(vf64 a, vf64 b, vf64 p) { return _mm512_fmsub_pd(a, b, p); }
FOV_INLINE vf64 vf64_max(vf64 a, vf64 b) { return _mm512_max_pd(a, b); }
FOV_INLINE vf64 vf64_min(vf64 a, vf64 b) { return _mm512_min_pd(a, b); }
FOV_INLINE vf64 vf64_fract(vf64 y) { return _mm512_reduce_pd(y, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
FOV_INLINE vf64 vf64_scale2(vf64 p, vf64 y) { return _mm512_scalef_pd(p, y); }
FOV_INLINE vf64 vf64_nearest(vf64 y) { return _mm512_roundscale_pd(y, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
FOV_INLINE mf64 vf64_gt(vf64 a, vf64 b) { return _mm512_cmp_pd_mask(a, b, _CMP_GT_OQ); }
FOV_INLINE mf64 vf64_eq(vf64 a, vf64 b) { return _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ); }
FOV_INLINE mf64 vf64_above(vf64 a, vf64 b) { return _mm512_cmp_pd_mask(a, b, _CMP_NLE_UQ); }
FOV_INLINE vf64 vf64_select(mf64 m, vf64 a, vf64 b) { return _mm512_mask_blend_pd(m, b, a); }
FOV_INLINE mf64 vf64_m_or(mf64 a, mf64 b) { return (mf64)(a | b); }
FOV_INLINE int vf64_any(mf64 m) { return m != 0; }
FOV_INLINE uint32_t vf64_m_bits(mf64 m) { return m; }
FOV_INLINE mf64 vf64_bits(const uint32_t *words, int bit)
{
    return (mf64)_mm256_test_epi32_mask(_mm256_loadu_si256((const __m256i *)words), _mm256_set1_epi32((int)(1u << bit)));
}
FOV_INLINE vf64 vf64_swap(vf64 v, int step)
{
    return step == 1 ? _mm512_permute_pd(v, 0x55) : step == 2 ? _mm512_permutex_pd(v, 0x4e) : _mm512_shuffle_f64x2(v, v, 0x4e);
}
FOV_INLINE double vf64_hsum(vf64 v) { return _mm512_reduce_add_pd(v); }

/* The bf16 number below in size, of a float; for the weights of tile products. */
FOV_INLINE vf32 vf32_top_half(vf32 x) { return _mm512_and_ps(x, _mm512_castsi512_ps(_mm512_set1_epi32((int)0xffff0000u))); }
#define VF32_TOP_HALF vf32_top_half

FOV_INLINE vf32 vf32_load_f16(const void *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
FOV_INLINE void vf32_store_f16(void *p, vf32 v)
{
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
FOV_INLINE vf32 vf32_load_bf16(const void *p)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16));
}
FOV_INLINE vf32 vf32_first_bf16(vf32 v) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(v), 16)); }
FOV_INLINE vf32 vf32_second_bf16(vf32 v) { return vf32_top_half(v); }
FOV_INLINE void vf32_store_bf16(void *p, vf32 v)
{
    __m512i u = _mm512_castps_si512(v);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    __m512i rounded = _mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    rounded = _mm512_mask_or_epi32(rounded, nan, u, _mm512_set1_epi32(0x400000));
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16)));
}

FOV_INLINE vf32 vf32_load_int8(const void *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
/* The bits of a byte seven to the left, sign in place, are the f16 of 2^-8 times the number; 0x7f is NaN. */
FOV_INLINE vf32 vf32_load_f8_halves(const void *p)
{
    __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)p));
    __m256i half = _mm256_and_si256(_mm256_slli_epi16(wide, 7), _mm256_set1_epi16((int16_t)0xbf80));
    __mmask16 nan = _mm256_cmpeq_epi16_mask(_mm256_and_si256(wide, _mm256_set1_epi16(0x7f)), _mm256_set1_epi16(0x7f));
    half = _mm256_mask_mov_epi16(half, nan, _mm256_set1_epi16(0x7e00));
    return _mm512_cvtph_ps(half);
}
FOV_INLINE vf32 vf32_load_f8(const void *p) { return _mm512_mul_ps(vf32_load_f8_halves(p), _mm512_set1_ps(256)); }

/* The same for 2 or 4 vectors on their way through memory: 5 operations per vector with the product, where 10 stay in registers.
 * NaN is looked for once per line, and rare. */
#define FOV_STAGES_F8
FOV_INLINE void vf32_stage_f8(uint16_t *stage, const void *p, const int n_vectors)
{
    const __m512i magnitude = _mm512_set1_epi8(0x7f);
    const __m512i bytes = n_vectors == 4 ? _mm512_loadu_si512(p) : _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)p));
    const __mmask64 nan = _mm512_cmpeq_epi8_mask(_mm512_and_si512(bytes, magnitude), magnitude);
    __m512i half[2];
#pragma GCC unroll 2
    for (int i = 0; i < n_vectors / 2; i++) {
        __m512i wide = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)p + i));
        half[i] = _mm512_and_si512(_mm512_slli_epi16(wide, 7), _mm512_set1_epi16((int16_t)0xbf80));
    }
    if (__builtin_expect(nan != 0, 0))
#pragma GCC unroll 2
        for (int i = 0; i < n_vectors / 2; i++)
            half[i] = _mm512_mask_mov_epi16(half[i], (__mmask32)(nan >> 32 * i), _mm512_set1_epi16(0x7e00));
#pragma GCC unroll 2
    for (int i = 0; i < n_vectors / 2; i++) _mm512_store_si512(stage + 32 * i, half[i]);
}
/* As an instruction: the compiler knows what was stored, and would take it out of the register again. */
FOV_INLINE vf32 vf32_load_stage(const char *stage, int i)
{
    vf32 x;
    __asm__("vcvtph2ps %1, %0" : "=v"(x) : "m"(((const __m256i *)stage)[i]));
    return x;
}

#define FOV_QUADS /* a vector of f32 is four rows by four columns; set4, transpose_quads and sums_of_quads are there */
FOV_INLINE vf32 vf32_set4(const float *p) { return _mm512_broadcast_f32x4(_mm_loadu_ps(p)); }
/* Quad i of row r becomes quad r of row i. */
FOV_INLINE void vf32_transpose_quads(vf32 *r)
{
    vf32 a = _mm512_shuffle_f32x4(r[0], r[1], 0x44), b = _mm512_shuffle_f32x4(r[2], r[3], 0x44);
    vf32 c = _mm512_shuffle_f32x4(r[0], r[1], 0xee), d = _mm512_shuffle_f32x4(r[2], r[3], 0xee);
    r[0] = _mm512_shuffle_f32x4(a, b, 0x88);
    r[1] = _mm512_shuffle_f32x4(a, b, 0xdd);
    r[2] = _mm512_shuffle_f32x4(c, d, 0x88);
    r[3] = _mm512_shuffle_f32x4(c, d, 0xdd);
}
/* The sums of the quads of 4 keys x 8 rows: in out[0] those of keys 0 and 1 side by side for each row, in out[1] of keys 2 and 3. */
FOV_INLINE void vf32_sums_of_quads(const vf32 (*v)[2], vf32 *out)
{
    __m512d u[2];
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++) {
        vf32 s = _mm512_add_ps(_mm512_unpacklo_ps(v[0][h], v[1][h]), _mm512_unpackhi_ps(v[0][h], v[1][h]));
        vf32 t = _mm512_add_ps(_mm512_unpacklo_ps(v[2][h], v[3][h]), _mm512_unpackhi_ps(v[2][h], v[3][h]));
        __m512d a = _mm512_castps_pd(s), b = _mm512_castps_pd(t);
        u[h] = _mm512_castps_pd(
            _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b))));
    }
    out[0] = _mm512_castpd_ps(_mm512_permutex2var_pd(u[0], _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14), u[1]));
    out[1] = _mm512_castpd_ps(_mm512_permutex2var_pd(u[0], _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15), u[1]));
}

/* 30 shuffles and 15 additions: halves of pairs, quarters, then 128-bit blocks twice; lanes come out in order. */
FOV_INLINE vf32 vf32_sums(const vf32 *v)
{
    vf32 t[8], u[4];
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++)
        t[i] = _mm512_add_ps(_mm512_unpacklo_ps(v[2 * i], v[2 * i + 1]), _mm512_unpackhi_ps(v[2 * i], v[2 * i + 1]));
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        __m512d a = _mm512_castps_pd(t[2 * i]), b = _mm512_castps_pd(t[2 * i + 1]);
        u[i] = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
    }
    t[0] = _mm512_add_ps(_mm512_shuffle_f32x4(u[0], u[1], 0x88), _mm512_shuffle_f32x4(u[0], u[1], 0xdd));
    t[1] = _mm512_add_ps(_mm512_shuffle_f32x4(u[2], u[3], 0x88), _mm512_shuffle_f32x4(u[2], u[3], 0xdd));
    return _mm512_add_ps(_mm512_shuffle_f32x4(t[0], t[1], 0x88), _mm512_shuffle_f32x4(t[0], t[1], 0xdd));
}
FOV_INLINE vf64 vf64_sums(const vf64 *v)
{
    vf64 t[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        t[i] = _mm512_add_pd(_mm512_unpacklo_pd(v[2 * i], v[2 * i + 1]), _mm512_unpackhi_pd(v[2 * i], v[2 * i + 1]));
    vf64 a = _mm512_add_pd(_mm512_shuffle_f64x2(t[0], t[1], 0x88), _mm512_shuffle_f64x2(t[0], t[1], 0xdd));
    vf64 b = _mm512_add_pd(_mm512_shuffle_f64x2(t[2], t[3], 0x88), _mm512_shuffle_f64x2(t[2], t[3], 0xdd));
    return _mm512_add_pd(_mm512_shuffle_f64x2(a, b, 0x88), _mm512_shuffle_f64x2(a, b, 0xdd));
}
FOV_INLINE void vf64_transpose(vf64 *r)
{
    vf64 u[8];
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
        u[i] = _mm512_unpacklo_pd(r[i], r[i + 1]);
        u[i + 1] = _mm512_unpackhi_pd(r[i], r[i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) { /* u[i], u[i+2], u[i+4], u[i+6]: column pairs of rows 01 23 45 67 */
        vf64 a = _mm512_shuffle_f64x2(u[i], u[i + 2], 0x88), b = _mm512_shuffle_f64x2(u[i], u[i + 2], 0xdd);
        vf64 c = _mm512_shuffle_f64x2(u[i + 4], u[i + 6], 0x88), d = _mm512_shuffle_f64x2(u[i + 4], u[i + 6], 0xdd);
        r[i] = _mm512_shuffle_f64x2(a, c, 0x88);
        r[i + 2] = _mm512_shuffle_f64x2(b, d, 0x88);
        r[i + 4] = _mm512_shuffle_f64x2(a, c, 0xdd);
        r[i + 6] = _mm512_shuffle_f64x2(b, d, 0xdd);
    }
}

/* 32 shuffles: 128-bit blocks come from memory into their place, which any vector port does. Each line is read at one time: rows
 * 4 KiB apart share 12 places in L1. */
FOV_INLINE void vf32_load_transposed(const char *const *rows, int64_t at, vf32 *r)
{
    vf32 u[4][4]; /* [i][j]: block i of rows j, j + 4, j + 8, j + 12 */
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        const float *a = (const float *)(rows[j] + at), *b = (const float *)(rows[j + 4] + at);
        const float *c = (const float *)(rows[j + 8] + at), *d = (const float *)(rows[j + 12] + at);
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) u[i][j] = _mm512_castps128_ps512(_mm_loadu_ps(a + 4 * i));
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) u[i][j] = _mm512_insertf32x4(u[i][j], _mm_loadu_ps(b + 4 * i), 1);
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) u[i][j] = _mm512_insertf32x4(u[i][j], _mm_loadu_ps(c + 4 * i), 2);
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) u[i][j] = _mm512_insertf32x4(u[i][j], _mm_loadu_ps(d + 4 * i), 3);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        vf32 a = _mm512_unpacklo_ps(u[i][0], u[i][1]), b = _mm512_unpackhi_ps(u[i][0], u[i][1]);
        vf32 c = _mm512_unpacklo_ps(u[i][2], u[i][3]), d = _mm512_unpackhi_ps(u[i][2], u[i][3]);
        r[4 * i] = _mm512_shuffle_ps(a, c, 0x44);
        r[4 * i + 1] = _mm512_shuffle_ps(a, c, 0xee);
        r[4 * i + 2] = _mm512_shuffle_ps(b, d, 0x44);
        r[4 * i + 3] = _mm512_shuffle_ps(b, d, 0xee);
    }
}

/* 64 shuffles for 256 elements: pairs, quads, then 128-bit blocks twice. */
FOV_INLINE void vf32_transpose(vf32 *r)
{
    vf32 u[16];
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
        u[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        u[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_shuffle_ps(u[i], u[i + 2], 0x44);
        r[i + 1] = _mm512_shuffle_ps(u[i], u[i + 2], 0xee);
        r[i + 2] = _mm512_shuffle_ps(u[i + 1], u[i + 3], 0x44);
        r[i + 3] = _mm512_shuffle_ps(u[i + 1], u[i + 3], 0xee);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        u[i] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88);
        u[i + 4] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xdd);
        u[i + 8] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88);
        u[i + 12] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xdd);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        r[i] = _mm512_shuffle_f32x4(u[i], u[i + 8], 0x88);
        r[i + 8] = _mm512_shuffle_f32x4(u[i], u[i + 8], 0xdd);
    }
}

FOV_INLINE uint32_t vec_nonzero32(const void *p)
{
    __m256i x = _mm256_loadu_si256((const __m256i *)p);
    return _mm256_test_epi8_mask(x, x);
}

#endif
