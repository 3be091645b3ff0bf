/* What the C tests share: counting, random numbers, buffers between unreadable pages. */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

#include <stddef.h>
#include <stdint.h>

/* Begins a case: what a failure prints. */
void check_begin(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A fact of the running case; a false one prints `format` once and fails the case. */
void check(int fact, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* 1: the running case has failed already; its remaining elements need not be compared. */
int check_failed(void);
/* Prints "N passed, N failed" and gives the exit status. */
int check_report(void);

/* |got - want| <= bound, or both NaN, or the same infinity. */
void check_close(long double got, long double want, long double bound, const char *what, int64_t row, int64_t column);

typedef struct random_state {
    uint64_t state;
} random_state;

uint64_t random_bits(random_state *random);
int64_t random_below(random_state *random, int64_t n); /* 0 .. n-1 */
double random_uniform(random_state *random, double low, double high);
/* One of the n_choices int64 values that follow. */
int64_t random_pick(random_state *random, const int64_t *choices, size_t n_choices);
#define PICK(random, ...)                                                                                                        \
    random_pick(random, (const int64_t[]){__VA_ARGS__}, sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

/* `size` bytes with an unreadable page next to their end (flush_end) or their start. A read or write beyond them
 * ends the program. The start is a multiple of `alignment` (a power of two); with flush_end, up to alignment - 1
 * bytes may lie between the end and the page. */
typedef struct guarded {
    void *mapping;
    size_t mapping_size;
    char *data;
    size_t size;
} guarded;

guarded guarded_new(size_t size, size_t alignment, int flush_end);
void guarded_free(guarded *buffer);

#endif
