/* Numbers of the storage types as bits: the fuzzer needs no arithmetic of its own. */
#ifndef FUZZ_NUMBERS_H
#define FUZZ_NUMBERS_H

#include <stddef.h>
#include <stdint.h>

typedef enum nature {
    TAME,   /* 1/8 <= |x| < 2 */
    GAPPED, /* tame, or -infinity: a masked logit */
    ODD,    /* zeros, denormals, the largest numbers */
    WILD,   /* NaN and infinities too */
    N_NATURES
} nature;

enum { INT64 = 16 }; /* behind every fov_dtype: offsets and lengths, -8 to 311 */

size_t number_bytes(int dtype); /* INT64 too */
/* One number, drawn with *seed. */
void number_write(char *at, int dtype, nature kind, uint32_t *seed);
int number_is_finite(const char *at, int dtype);
int number_is_minus_infinity(const char *at, int dtype);

#endif
