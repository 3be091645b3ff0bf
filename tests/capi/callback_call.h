/* A small contiguous call for the tests of callbacks, whose logits are integers: exact in every order of additions. */
#ifndef TESTS_CALLBACK_CALL_H
#define TESTS_CALLBACK_CALL_H

#include "check.h"
#include "foveate/foveate.h"

enum { CALL_DIM = 16 };

typedef struct callback_call {
    fov_attention_args args; /* points into this struct: do not copy one */
    fov_stats stats;
    int64_t batch, bytes[5];
    void *query, *key, *value, *output, *weights, *lse;
    size_t output_size, weights_size;
} callback_call;

/* Softmax of dot products of `dtype` (FOV_F32 or FOV_F64), with weights and lse; arrays of random integers. */
void callback_init(callback_call *call, int dtype, int64_t batch, int64_t q_heads, int64_t kv_heads, int64_t q_len,
                   int64_t kv_len);
void callback_free(callback_call *call);
/* Fills output, weights and lse with 0xA5 bytes, then computes into them. */
fov_status callback_run(callback_call *call);
/* 1: output, weights and lse have the same bits in both. */
int callback_same(const callback_call *a, const callback_call *b);
double callback_weight(const callback_call *call, int64_t index);

#endif
