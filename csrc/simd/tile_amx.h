/* Tile registers: eight of 16 rows of 64 bytes, and the product of pairs of bf16 numbers. Intel SDM volume 1, chapter 18; volume 2,
 * TDPBF16PS.
 *
 *   tile_configure() tile_release()     per thread; nothing else works in between release and configure
 *   tile_zero(t) tile_load(t, p, step) tile_store(t, p, step)   16 rows of 64 bytes, `step` bytes apart, of any alignment
 *   tile_product(c, a, b)  c[m][n] += sum_k a[m][2k] b[k][2n] + a[m][2k+1] b[k][2n+1]: a and b hold bf16, c holds f32
 *
 * t, a, b, c are literals. In assembly, not intrinsics: gcc 12's _tile_loadconfig declares 8 of its 64 bytes as input, and none of them
 * tells that it reads memory. With FOVEATE_EMULATE_AMX, for tests on machines without AMX, plain C does what the SDM says.
 *
 * Below: vectors of 16 pairs, an even and an odd number of bf16 in each dword, the first in the low half. */
#ifndef FOV_TILE_AMX_H
#define FOV_TILE_AMX_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "simd/vec.h"
#if !defined(__AVX512F__) || !defined(__AVX512BW__) || !defined(__AVX512VL__)
#error "compile with the flags of the amx row of cmake/FoveateIsa.cmake"
#endif

enum { TILE_ROWS = 16, TILE_ROW_BYTES = 64, TILE_BYTES = 1024 };

typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;
_Static_assert(sizeof(tile_config) == 64, "the layout of ldtilecfg");

#ifdef FOVEATE_EMULATE_AMX

static _Thread_local struct {
    int is_configured, is_wrong; /* is_wrong: for the test of tile_check */
    uint32_t rows[8][TILE_ROWS][TILE_ROW_BYTES / 4];
} emulated;

static inline void tile_must_be_configured(void)
{
    if (!emulated.is_configured) __builtin_trap(); /* #UD */
}

static inline void tile_configure(void)
{
    memset(&emulated, 0, sizeof emulated);
    emulated.is_configured = 1;
    emulated.is_wrong = getenv("FOVEATE_EMULATED_AMX_WRONG") != NULL;
}

static inline void tile_release(void) { emulated.is_configured = 0; }

static inline void tile_zero(int t)
{
    tile_must_be_configured();
    memset(emulated.rows[t], 0, TILE_BYTES);
}

static inline void tile_load(int t, const void *p, int64_t step)
{
    tile_must_be_configured();
    for (int i = 0; i < TILE_ROWS; i++) memcpy(emulated.rows[t][i], (const char *)p + i * step, TILE_ROW_BYTES);
}

static inline void tile_store(int t, void *p, int64_t step)
{
    tile_must_be_configured();
    for (int i = 0; i < TILE_ROWS; i++) memcpy((char *)p + i * step, emulated.rows[t][i], TILE_ROW_BYTES);
}

/* Subnormal numbers count as zero, as inputs (DAZ) and as results (FTZ), whatever MXCSR says. */
FOV_INLINE float tile_flushed(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, 4);
    bits &= bits & 0x7f800000u ? ~0u : 0x80000000u;
    memcpy(&x, &bits, 4);
    return x;
}

FOV_INLINE float tile_half(uint32_t pair, int odd)
{
    uint32_t bits = odd ? pair & 0xffff0000u : pair << 16;
    float x;
    memcpy(&x, &bits, 4);
    return tile_flushed(x);
}

/* Even and odd products in chains of 16 fused multiply-adds each, their sum, then the sum with c: each rounds to nearest even. */
static inline void tile_product(int c, int a, int b)
{
    float halves[2][TILE_ROWS][16];
    tile_must_be_configured();
    for (int k = 0; k < TILE_ROWS; k++)
        for (int n = 0; n < 16; n++)
            for (int odd = 0; odd < 2; odd++) halves[odd][k][n] = tile_half(emulated.rows[b][k][n], odd);
    for (int m = 0; m < TILE_ROWS; m++) {
        float chain[2][16] = {{0}};
        for (int k = 0; k < 16; k++)
            for (int odd = 0; odd < 2; odd++) {
                const float x = tile_half(emulated.rows[a][m][k], odd);
                for (int n = 0; n < 16; n++) chain[odd][n] = tile_flushed(__builtin_fmaf(x, halves[odd][k][n], chain[odd][n]));
            }
        for (int n = 0; n < 16; n++) {
            float old;
            memcpy(&old, &emulated.rows[c][m][n], 4);
            old = tile_flushed(tile_flushed(old) + tile_flushed(chain[0][n] + chain[1][n]));
            if (emulated.is_wrong) old += 1;
            memcpy(&emulated.rows[c][m][n], &old, 4);
        }
    }
}

#else

static inline void tile_configure(void)
{
    tile_config config = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        config.row_bytes[i] = TILE_ROW_BYTES;
        config.rows[i] = TILE_ROWS;
    }
    __asm__ volatile("ldtilecfg %0" : : "m"(config));
}
static inline void tile_release(void) { __asm__ volatile("tilerelease" : : : "memory"); }

#define tile_zero(t) __asm__ volatile("tilezero %%tmm" #t : :)
#define tile_load(t, p, step)                                                                                                    \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #t : : "r"((const void *)(p)), "r"((int64_t)(step)) : "memory")
#define tile_store(t, p, step)                                                                                                   \
    __asm__ volatile("tilestored %%tmm" #t ", (%0,%1,1)" : : "r"((void *)(p)), "r"((int64_t)(step)) : "memory")
#define tile_product(c, a, b) __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c : :)

#endif

typedef __m512i pairs;

FOV_INLINE pairs pairs_zero(void) { return _mm512_setzero_si512(); }
FOV_INLINE void pairs_store(void *p, pairs x) { _mm512_storeu_si512(p, x); }

/* Of numbers that are bf16 already; others lose what is too much. */
FOV_INLINE pairs pairs_of(vf32 even, vf32 odd)
{
    const __m512i high = _mm512_set1_epi32((int)0xffff0000u);
    return _mm512_ternarylogic_epi32(_mm512_srli_epi32(_mm512_castps_si512(even), 16), _mm512_castps_si512(odd), high, 0xf8);
}

/* To nearest, ties to even, as a float whose low half is 0; NaN stays NaN. */
FOV_INLINE vf32 pairs_rounded(vf32 x)
{
    __m512i u = _mm512_castps_si512(x), odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    __m512i up = _mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    up = _mm512_and_si512(up, _mm512_set1_epi32((int)0xffff0000u));
    return _mm512_mask_mov_ps(_mm512_castsi512_ps(up), _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), x);
}

/* The first of two bf16 numbers that add up to a finite x but for 2^-16 of it; the second is what is left, rounded. Rounded too, which leaves a
 * quarter of the error of cutting off; cut off where it would round to infinity. */
FOV_INLINE vf32 pairs_high(vf32 x)
{
    const __m512i infinite = _mm512_set1_epi32(0x7f800000), high = _mm512_set1_epi32((int)0xffff0000u);
    __m512i rounded = _mm512_castps_si512(pairs_rounded(x));
    __mmask16 over = _mm512_cmpeq_epi32_mask(_mm512_and_si512(rounded, infinite), infinite);
    return _mm512_castsi512_ps(_mm512_mask_and_epi32(rounded, over, _mm512_castps_si512(x), high));
}

/* The columns 0 to 31 of a row, from the even ones and the odd ones. */
FOV_INLINE void pairs_spread(vf32 even, vf32 odd, vf32 *columns)
{
    const __m512i first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    columns[0] = _mm512_permutex2var_ps(even, first, odd);
    columns[1] = _mm512_permutex2var_ps(even, _mm512_add_epi32(first, _mm512_set1_epi32(8)), odd);
}

/* The larger of `largest` and the exponents of the first n, up to 32, numbers of bf16 from p on; finite: no number had the one of NaN and Inf. */
FOV_INLINE pairs halves_exponents(pairs largest, const void *p, int64_t n)
{
    const __m512i exponent = _mm512_set1_epi16(0x7f80);
    __m512i x = n >= 32 ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi16((__mmask32)((1u << n) - 1), p);
    return _mm512_max_epu16(largest, _mm512_and_si512(x, exponent));
}
FOV_INLINE int halves_finite(pairs largest) { return _mm512_cmpeq_epi16_mask(largest, _mm512_set1_epi16(0x7f80)) == 0; }

/* 32 rows of 8 numbers of bf16 -> 8 rows of 32; 0: one of them is NaN or infinite. Rows 8 apart meet in a register as they are loaded,
 * which takes no shuffles: 24 of them are left for 256 numbers. */
FOV_INLINE int halves_turn(const char *rows, int64_t row_bytes, char *to)
{
    const __m512i exponent = _mm512_set1_epi16(0x7f80);
    __m512i r[8], t[8], largest = _mm512_setzero_si512();
#pragma GCC unroll 8
    for (int k = 0; k < 8; k++) {
        const char *row = rows + k * row_bytes;
        __m512i x = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)row));
        x = _mm512_inserti32x4(x, _mm_loadu_si128((const __m128i *)(row + 8 * row_bytes)), 1);
        x = _mm512_inserti32x4(x, _mm_loadu_si128((const __m128i *)(row + 16 * row_bytes)), 2);
        r[k] = _mm512_inserti32x4(x, _mm_loadu_si128((const __m128i *)(row + 24 * row_bytes)), 3);
        largest = _mm512_max_epu16(largest, _mm512_and_si512(r[k], exponent));
    }
#pragma GCC unroll 4
    for (int k = 0; k < 8; k += 2) { /* columns 0 to 3 and 4 to 7 of two rows */
        t[k] = _mm512_unpacklo_epi16(r[k], r[k + 1]);
        t[k + 1] = _mm512_unpackhi_epi16(r[k], r[k + 1]);
    }
#pragma GCC unroll 2
    for (int k = 0; k < 8; k += 4) /* two columns of four rows: 0 1, 2 3, 4 5, 6 7 */
#pragma GCC unroll 2
        for (int i = 0; i < 2; i++) {
            r[k + 2 * i] = _mm512_unpacklo_epi32(t[k + i], t[k + 2 + i]);
            r[k + 2 * i + 1] = _mm512_unpackhi_epi32(t[k + i], t[k + 2 + i]);
        }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        _mm512_storeu_si512(to + 2 * i * TILE_ROW_BYTES, _mm512_unpacklo_epi64(r[i], r[4 + i]));
        _mm512_storeu_si512(to + (2 * i + 1) * TILE_ROW_BYTES, _mm512_unpackhi_epi64(r[i], r[4 + i]));
    }
    return _mm512_cmpeq_epi16_mask(largest, exponent) == 0;
}

#endif
