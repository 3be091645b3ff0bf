/* A small valid call that gives every array: 2 batch elements, 4 query heads on 2 kv heads, additive score with all that it learns. */
#ifndef TESTS_FULL_CALL_H
#define TESTS_FULL_CALL_H

#include "foveate/foveate.h"

enum { BATCH = 2, Q_HEADS = 4, KV_HEADS = 2, Q_LEN = 3, KV_LEN = 5, DIM = 4, N_ARRAYS = 9 };
enum { ROOM = BATCH * Q_HEADS * Q_LEN * KV_LEN * (int)sizeof(float) + 16, WORKSPACE = 1 << 16, CANARY = 0x5A };

typedef struct full_call {
    fov_attention_args args;
    /* query, key, value, bias, mask; output, lse, weights, key_stats. `odd` bytes from an aligned address */
    _Alignas(16) char arrays[N_ARRAYS][ROOM];
    _Alignas(16) char offsets[BATCH * 8 + 8], lengths[BATCH * 8 + 8];
    int64_t batch_shape[1], batch_bytes[N_ARRAYS][1], integer_bytes[1];
    float w_q[DIM * DIM], w_k[DIM * DIM], v[DIM];
    double sinks[Q_HEADS], slopes[Q_HEADS];
    char workspace[WORKSPACE];
} full_call;

enum { FIRST_RESULT = 5 };

/* odd: bytes between an aligned address and the data of each array. Results hold CANARY bytes. */
void full_call_make(full_call *call, int odd);
/* fov_workspace_size, then fov_attention; checks that both say the same. */
fov_status full_call_run(full_call *call);
/* 1: no byte of a result was written. */
int full_call_is_untouched(const full_call *call);

#endif
