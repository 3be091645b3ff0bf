/* The input of the fuzzer read as choices, one byte each. Beyond its end every choice is 0, the plainest one, so that short inputs
 * are simple calls and a fuzzer that cuts bytes off simplifies. */
#ifndef FUZZ_CHOICES_H
#define FUZZ_CHOICES_H

#include <stddef.h>
#include <stdint.h>

typedef struct choices {
    const uint8_t *at;
    size_t left;
} choices;

static inline unsigned take(choices *in)
{
    if (in->left == 0) return 0;
    in->left--;
    return *in->at++;
}

/* 1 for one byte of n. */
static inline int one_in(choices *in, unsigned n) { return take(in) % n == n - 1; }

/* One of the constants that follow. */
#define TAKE_OF(in, type, ...) (((const type[]){__VA_ARGS__})[take(in) % (sizeof((const type[]){__VA_ARGS__}) / sizeof(type))])

#endif
