/* One random attention call: sizes around powers of two, every mode, storage type, memory layout, mask and option. */
#ifndef TESTS_PROBLEM_H
#define TESTS_PROBLEM_H

#include "tensor.h"

typedef struct problem {
    fov_attention_args args; /* points into this struct: do not copy a problem */
    int64_t batch;
    tensor query, key, value, mask, bias;       /* inputs */
    tensor output, lse, weights, key_stats;     /* results; output of a product: (.., q_len, kv_len * product_step) */
    guarded slopes, sinks, offsets, lengths;    /* one number per head, or per batch element */
    guarded score_w_q, score_w_k, score_v;      /* learnt parameters of the score */
    int64_t offset_bytes, length_bytes;
    int64_t key_dim, score_dim; /* as the arguments mean them: never 0 for "the same" */
    int64_t product_step;       /* product: columns of the output from key to key */
    char name[320];
} problem;

/* Draws a problem; the mode is the number `mode` of all scores x activations x combines. flush_end says on which side of every
 * array the unreadable page lies; `large` draws sizes that pay for several threads. */
void problem_init(problem *call, random_state *random, int64_t mode, int large, int flush_end);
void problem_free(problem *call);
int64_t problem_n_modes(void);

/* problem_mode.c: parameters of the three stages, after the sizes; the shape of what a mode writes. */
void problem_draw_mode(problem *call, random_state *random, int64_t mode, int flush_end);
int problem_is(const problem *call, const char *stage); /* 1: the score, activation or combine of that name */
wide problem_parameter(const problem *call, const fov_parameter *array, int64_t head, int64_t row, int64_t column);

/* 1: query row `row` of head `head` attends key `column`. */
int problem_attends(const problem *call, int64_t batch, int64_t head, int64_t row, int64_t column);
int64_t problem_offset(const problem *call, int64_t batch);

/* Puts NaN and infinities into the keys and values that no row attends, and sometimes a NaN into one that rows do. */
void problem_poison(problem *call, random_state *random);

#endif
