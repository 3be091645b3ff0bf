#include "numbers.h"

#include <string.h>

#include "foveate/foveate.h"

/* Bits of the fraction, exponent of 1. */
static const struct {
    unsigned bytes, fraction, bias;
} formats[] = {[FOV_F32] = {4, 23, 127}, [FOV_F64] = {8, 52, 1023}, [FOV_F16] = {2, 10, 15},   [FOV_BF16] = {2, 7, 127},
               [FOV_BOOL] = {1, 0, 0},   [FOV_INT8] = {1, 0, 0},    [FOV_F8_E4M3] = {1, 3, 7}, [INT64] = {8, 0, 0}};

size_t number_bytes(int dtype) { return formats[dtype].bytes; }

static uint32_t next(uint32_t *seed) { return (*seed = *seed * 1664525u + 1013904223u) >> 8; }

static uint64_t infinity(int dtype) { return (uint64_t)(2 * formats[dtype].bias + 1) << formats[dtype].fraction; }

static uint64_t special(int dtype, nature kind, uint32_t which)
{
    const uint64_t none = 0, least = 1, inf = infinity(dtype), largest = inf - 1,
                   nan = inf + (UINT64_C(1) << (formats[dtype].fraction - 1));
    const uint64_t odd[] = {none, least, largest, none}, wild[] = {nan, inf, largest, least};
    return kind == ODD ? odd[which % 4] : wild[which % 4];
}

void number_write(char *at, int dtype, nature kind, uint32_t *seed)
{
    unsigned fraction = formats[dtype].fraction, top = 8 * formats[dtype].bytes - 1;
    uint32_t random = next(seed);
    uint64_t sign = random & 1, bits;
    if (dtype == FOV_BOOL) {
        bits = random & 3 ? random >> 2 & 0xFF : 0; /* any byte but 0 is true */
    } else if (dtype == FOV_INT8 || dtype == FOV_F8_E4M3) {
        bits = random >> 1 & 0xFF;
        if (dtype == FOV_F8_E4M3 && kind != WILD && (bits & 0x7F) == 0x7F) bits = 0x38; /* 1, not NaN */
    } else if (dtype == INT64) {
        bits = (uint64_t)((int64_t)(random % 320) - 8);
    } else if (kind == GAPPED && (random >> 1 & 3) == 0) {
        bits = infinity(dtype), sign = 1;
    } else if (kind >= ODD && (random >> 1 & 7) == 0) {
        bits = special(dtype, kind, random >> 4);
    } else {
        uint64_t exponent = formats[dtype].bias - 3 + (random >> 4 & 3);
        bits = exponent << fraction | ((uint64_t)random << 29 | random >> 6) % (UINT64_C(1) << fraction);
    }
    if (dtype < FOV_BOOL) bits |= sign << top;
    memcpy(at, &bits, formats[dtype].bytes); /* little endian */
}

static uint64_t size_bits(const char *at, int dtype, int *negative)
{
    uint64_t bits = 0, top = UINT64_C(1) << (8 * formats[dtype].bytes - 1);
    memcpy(&bits, at, formats[dtype].bytes);
    *negative = (bits & top) != 0;
    return bits & (top - 1);
}

int number_is_finite(const char *at, int dtype)
{
    int negative;
    return size_bits(at, dtype, &negative) < infinity(dtype);
}

int number_is_minus_infinity(const char *at, int dtype)
{
    int negative;
    return size_bits(at, dtype, &negative) == infinity(dtype) && negative;
}
