/* Scalar conversions of the 16-bit types and of float8, exact or rounded to nearest even, NaN kept, no hardware support needed. */
#ifndef FOV_HALF_H
#define FOV_HALF_H

#include <stdint.h>
#include <string.h>

static inline uint32_t fov_bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, 4);
    return u;
}
static inline float fov_float_of(uint32_t u)
{
    float x;
    memcpy(&x, &u, 4);
    return x;
}

static inline float fov_bf16_to_f32(uint16_t h) { return fov_float_of((uint32_t)h << 16); }

static inline uint16_t fov_f32_to_bf16(float x)
{
    uint32_t u = fov_bits_of(x);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((u >> 16) | 0x40u); /* NaN stays NaN */
    return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

static inline float fov_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = (h >> 10) & 31u, fraction = h & 0x3ffu;
    if (exponent == 31u) return fov_float_of(sign | 0x7f800000u | fraction << 13 | (fraction ? 0x400000u : 0u));
    if (exponent == 0) { /* fraction * 2^-24, exact in f32 */
        float x = (float)fraction * 0x1p-24f;
        return sign ? -x : x;
    }
    return fov_float_of(sign | (exponent + 112u) << 23 | fraction << 13);
}

static inline uint16_t fov_f32_to_f16(float x)
{
    uint32_t u = fov_bits_of(x), sign = (u >> 16) & 0x8000u, a = u & 0x7fffffffu;
    if (a > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | ((a >> 13) & 0x3ffu));
    if (a >= 0x47800000u) return (uint16_t)(sign | 0x7c00u); /* 65536 and more; 65520..65535 carry below */
    if (a < 0x38800000u) { /* below 2^-14: subnormal, rounded by an addition whose ulp is 2^-24 */
        float r = fov_float_of(a) + 0.5f;
        return (uint16_t)(sign | (fov_bits_of(r) - 0x3f000000u));
    }
    return (uint16_t)(sign | ((a - 0x38000000u + 0xfffu + ((a >> 13) & 1u)) >> 13));
}

/* e4m3fn: bias 7, no infinity, one NaN of either sign. Its bits seven to the left are the f16 of 2^-8 times the number, subnormals
 * included. */
static inline float fov_f8_to_f32(uint8_t b)
{
    if ((b & 0x7fu) == 0x7fu) return fov_float_of(0x7fc00000u);
    return fov_f16_to_f32((uint16_t)((b & 0x80u) << 8 | (b & 0x7fu) << 7)) * 256;
}

/* Bit i tells whether byte i of 32 is not 0 (little endian): the high bit of (x & 0x7f) + 0x7f | x is set exactly for non-zero
 * bytes, and the product gathers the eight of them. */
static inline uint32_t fov_nonzero32(const void *p)
{
    uint64_t x[4];
    uint32_t bits = 0;
    memcpy(x, p, 32);
    for (int i = 0; i < 4; i++) {
        uint64_t high = (((x[i] & 0x7f7f7f7f7f7f7f7fu) + 0x7f7f7f7f7f7f7f7fu) | x[i]) & 0x8080808080808080u;
        bits |= (uint32_t)((high >> 7) * 0x0102040810204080u >> 56) << (8 * i);
    }
    return bits;
}

#endif
