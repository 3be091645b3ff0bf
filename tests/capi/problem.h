/* One random attention call: sizes around powers of two, every storage type, memory layout, mask and option. */
#ifndef TESTS_PROBLEM_H
#define TESTS_PROBLEM_H

#include "tensor.h"

typedef struct problem {
    fov_attention_args args; /* points into this struct: do not copy a problem */
    int64_t batch;
    tensor query, key, value, mask, bias;  /* inputs */
    tensor output, lse, weights;           /* results */
    guarded slopes, sinks, offsets, lengths; /* one number per head, or per batch element */
    int64_t offset_bytes, length_bytes;
    char name[256];
} problem;

/* Draws a problem; flush_end says on which side of every array the unreadable page lies. */
void problem_init(problem *call, random_state *random, int flush_end);
void problem_free(problem *call);

/* 1: query row `row` of head `head` attends key `column`. */
int problem_attends(const problem *call, int64_t batch, int64_t head, int64_t row, int64_t column);
int64_t problem_offset(const problem *call, int64_t batch);

/* Puts NaN and infinities into the keys and values that no row attends, and sometimes a NaN into one that rows do. */
void problem_poison(problem *call, random_state *random);

#endif
