/* The contract of the vector layer, and the choice of its implementation from the flags of the compilation.
 *
 * Two lane types, f32 and f64. VF32_LANES is a constant; every function is static inline; m* is a mask of lanes.
 *
 *   zero set1 load store           unaligned
 *   load_n(p, n) store_n(p, v, n)  the first n lanes; the rest read as 0 and memory behind p + n is never touched
 *   add sub mul div fma(a,b,c)     fma = a b + c, fused where the hardware has it
 *   add_product(&sum, a, b)       sum = fma(a, b, sum) in the register of sum, for kernels that fill the register file
 *   reciprocal(x)                  1 / x for x >= 1, error under 0.6 ulp; 0 beyond 2^126 (f32) or at inf, NaN stays NaN
 *   small_reciprocal(x)            the same for x <= 2^125, cheaper
 *   mul_error(a, b, p)             a b - p exactly, for p the rounded product
 *   max(a, b) min(a, b)            return b when either is NaN
 *   fract(y)                       y - floor(y)
 *   scale2(p, y)                   p 2^floor(y); 0 below the normal range (y < -126 / -1022), inf beyond the largest
 *   nearest(y)                     nearest integer, ties to even
 *   gt eq                          ordered: false on NaN
 *   above(a, b)                    not a <= b: true on NaN
 *   select(m, a, b)                m ? a : b, lane by lane
 *   m_or any m_bits                any lane set; bit i of m_bits is lane i
 *   bits(words, bit)               mask of the lanes whose uint32 word has that bit set; words holds LANES words
 *   hsum                           sum of the lanes
 *   swap(v, step)                  lane i of the result is lane i xor step; step a power of two below LANES
 *   sums(v)                        vector whose lane i is the sum of the lanes of v[i], for LANES vectors
 *   transpose(rows)                LANES x LANES, in place
 *   load_transposed(rows, at, v)   v[i]: element i of each of LANES rows of floats, from byte `at` of a row on (f32 only)
 *   load_f16 store_f16 load_bf16 store_bf16   LANES values of that type (f32 only), round to nearest even
 *   first_bf16(v) second_bf16(v)   of the two numbers of that type in each lane, the lower half first (f32 only)
 *   load_int8 load_f8              LANES int8, float8 (e4m3fn) (f32 only)
 *   set4 transpose_quads sums_of_quads   where FOV_QUADS is defined: vectors of four rows by four columns (f32 only)
 *   load_f8_halves stage_f8 load_stage   where FOV_STAGES_F8 is: float8 by way of f16 in memory, 2^-8 times too small (f32 only)
 *
 * vec_prefetch(p), vec_prefetch_l2(p): reads the line of p into L1, or L2, if it can; never faults. vec_nonzero32(p): bit i tells whether byte i of 32 is not 0. vec_enter, vec_leave: the floating point environment of a task.
 * A file that includes this without any ISA flags gets vec_scalar.h, so every kernel header opens clean in an editor. */
#ifndef FOV_VEC_H
#define FOV_VEC_H

#define FOV_INLINE static inline __attribute__((always_inline, unused))
#ifdef __clang__
#define FOV_OUTLINE static __attribute__((noinline))
#else
#define FOV_OUTLINE static __attribute__((noinline, noclone)) /* GCC 12 warns of loops without end in its clones for constants */
#endif

FOV_INLINE void vec_prefetch(const void *p) { __builtin_prefetch(p, 0, 3); }
FOV_INLINE void vec_prefetch_l2(const void *p) { __builtin_prefetch(p, 0, 2); }

#if defined(FOV_ISA_AVX512)
#include "simd/vec_avx512.h"
#elif defined(FOV_ISA_AVX2)
#include "simd/vec_avx2.h"
#elif defined(FOV_ISA_NEON)
#include "simd/vec_neon.h"
#else
#include "simd/vec_scalar.h"
#endif

#endif
