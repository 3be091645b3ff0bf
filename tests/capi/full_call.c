#include "full_call.h"

#include <string.h>

#include "check.h"

static fov_array view(full_call *call, int which, int odd, int64_t heads, int64_t rows, int64_t columns, int dtype)
{
    int64_t item = dtype == FOV_BOOL ? 1 : (int64_t)sizeof(float);
    call->batch_bytes[which][0] = heads * rows * columns * item;
    return (fov_array){.data = call->arrays[which] + odd,
                       .batch_bytes = call->batch_bytes[which],
                       .head_bytes = rows * columns * item,
                       .row_bytes = columns * item,
                       .column_bytes = item,
                       .dtype = dtype};
}

static void fill(char *at, int n, random_state *random)
{
    for (int i = 0; i < n; i++) {
        float x = (float)random_uniform(random, -1, 1);
        memcpy(at + i * sizeof x, &x, sizeof x);
    }
}

static void fill_inputs(full_call *call, int odd)
{
    static const int64_t offsets[BATCH] = {1, -1}, lengths[BATCH] = {KV_LEN, KV_LEN - 2};
    random_state random = {7};
    for (int i = 0; i < 4; i++) fill(call->arrays[i] + odd, (ROOM - 16) / (int)sizeof(float), &random);
    for (int i = 0; i < ROOM - 16; i++) call->arrays[4][i + odd] = (char)(i % 4 != 1);
    for (int i = FIRST_RESULT; i < N_ARRAYS; i++) memset(call->arrays[i], CANARY, ROOM);
    memcpy(call->offsets + odd % 8, offsets, sizeof offsets);
    memcpy(call->lengths + odd % 8, lengths, sizeof lengths);
    fill((char *)call->w_q, DIM * DIM, &random);
    fill((char *)call->w_k, DIM * DIM, &random);
    fill((char *)call->v, DIM, &random);
    for (int i = 0; i < Q_HEADS; i++) call->sinks[i] = i, call->slopes[i] = 0.5 * i;
}

void full_call_make(full_call *call, int odd)
{
    fov_attention_args *a = &call->args;
    memset(call, 0, sizeof *call);
    fill_inputs(call, odd);
    a->size = sizeof *a;
    a->stages = FOV_STAGE_ALL;
    a->score = FOV_SCORE_ADDITIVE;
    a->activation = FOV_ACTIVATION_SOFTMAX;
    a->combine = FOV_COMBINE_WEIGHTED_SUM;
    a->dtype = FOV_F32;
    a->n_threads = 1;
    a->n_batch_axes = 1;
    a->batch_shape = call->batch_shape;
    call->batch_shape[0] = BATCH;
    call->integer_bytes[0] = sizeof(int64_t);
    a->n_q_heads = Q_HEADS;
    a->n_kv_heads = KV_HEADS;
    a->q_len = Q_LEN;
    a->kv_len = KV_LEN;
    a->head_dim = a->value_dim = a->key_dim = a->score_dim = DIM;
    a->query = view(call, 0, odd, Q_HEADS, Q_LEN, DIM, FOV_F32);
    a->key = view(call, 1, odd, KV_HEADS, KV_LEN, DIM, FOV_F32);
    a->value = view(call, 2, odd, KV_HEADS, KV_LEN, DIM, FOV_F32);
    a->bias = view(call, 3, odd, Q_HEADS, Q_LEN, KV_LEN, FOV_F32);
    a->mask = view(call, 4, odd, Q_HEADS, Q_LEN, KV_LEN, FOV_BOOL);
    a->output = view(call, 5, odd, Q_HEADS, Q_LEN, DIM, FOV_F32);
    a->lse = view(call, 6, odd, Q_HEADS, Q_LEN, 1, FOV_F32);
    a->weights = view(call, 7, odd, Q_HEADS, Q_LEN, KV_LEN, FOV_F32);
    a->key_stats = view(call, 8, odd, Q_HEADS, 1, KV_LEN, FOV_F32);
    a->key_stats_kind = FOV_KEY_STATS_SUM;
    a->scale = 1;
    a->softcap = 5;
    a->window_left = 3;
    a->window_right = FOV_OPEN;
    a->q_offset = (fov_per_batch){(const int64_t *)(const void *)(call->offsets + odd % 8), call->integer_bytes, 0};
    a->kv_lengths = (fov_per_batch){(const int64_t *)(const void *)(call->lengths + odd % 8), call->integer_bytes, 0};
    a->sinks = call->sinks;
    a->alibi_slopes = call->slopes;
    a->score_w_q = (fov_parameter){call->w_q, 0, DIM};
    a->score_w_k = (fov_parameter){call->w_k, 0, DIM};
    a->score_v = (fov_parameter){call->v, 0, DIM};
    a->entmax_alpha = 1.5;
    a->top_k = a->select_k = 2;
    a->select_temperature = 1;
    a->output_key_bytes = DIM * sizeof(float);
}

fov_status full_call_run(full_call *call)
{
    size_t needed = 1;
    fov_status status = fov_workspace_size(&call->args, &needed);
    check((status == FOV_OK) == (needed > 0), "status %d with a workspace of %zu bytes", (int)status, needed);
    check(needed <= WORKSPACE - 16, "the workspace has %zu bytes", needed);
    fov_status again = fov_attention(&call->args, call->workspace + 1, WORKSPACE - 1);
    check(again == status, "fov_workspace_size gives %d, fov_attention %d", (int)status, (int)again);
    return again;
}

int full_call_is_untouched(const full_call *call)
{
    for (int i = FIRST_RESULT; i < N_ARRAYS; i++)
        for (int k = 0; k < ROOM; k++)
            if (call->arrays[i][k] != CANARY) return 0;
    return 1;
}
