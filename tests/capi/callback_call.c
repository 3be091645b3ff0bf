#include "callback_call.h"

#include <stdlib.h>
#include <string.h>

static int64_t item(const callback_call *call) { return call->args.dtype == FOV_F64 ? 8 : 4; }

static void *integers(const callback_call *call, int64_t n, random_state *random)
{
    void *array = malloc((size_t)(n * item(call)) + 1);
    for (int64_t i = 0; i < n; i++) {
        double x = (double)(random_below(random, 5) - 2);
        if (call->args.dtype == FOV_F64) ((double *)array)[i] = x;
        else ((float *)array)[i] = (float)x;
    }
    return array;
}

static fov_array rows(const callback_call *call, void *data, int64_t *batch_bytes, int64_t heads, int64_t length, int64_t columns)
{
    int64_t column = item(call), row = columns * column;
    *batch_bytes = heads * length * row;
    return (fov_array){data, batch_bytes, length * row, row, column, call->args.dtype};
}

void callback_init(callback_call *call, int dtype, int64_t batch, int64_t q_heads, int64_t kv_heads, int64_t q_len,
                   int64_t kv_len)
{
    random_state random = {7};
    fov_attention_args *a = &call->args;
    memset(call, 0, sizeof *call);
    a->size = sizeof *a;
    a->stages = FOV_STAGE_ALL;
    a->score = FOV_SCORE_DOT;
    a->activation = FOV_ACTIVATION_SOFTMAX;
    a->combine = FOV_COMBINE_WEIGHTED_SUM;
    a->dtype = dtype;
    a->n_threads = 1;
    a->n_batch_axes = 1;
    a->batch_shape = &call->batch;
    call->batch = batch;
    a->n_q_heads = q_heads;
    a->n_kv_heads = kv_heads;
    a->q_len = q_len;
    a->kv_len = a->kv_lengths.value = kv_len;
    a->head_dim = a->value_dim = CALL_DIM;
    a->scale = 1;
    a->window_left = a->window_right = FOV_OPEN;
    a->stats = &call->stats;
    int64_t n_rows = batch * q_heads * q_len, n_keys = batch * kv_heads * kv_len;
    call->query = integers(call, n_rows * CALL_DIM, &random);
    call->key = integers(call, n_keys * CALL_DIM, &random);
    call->value = integers(call, n_keys * CALL_DIM, &random);
    call->output_size = (size_t)(n_rows * CALL_DIM * item(call));
    call->weights_size = (size_t)(n_rows * kv_len * item(call));
    call->output = malloc(call->output_size + 1);
    call->weights = malloc(call->weights_size + 1);
    call->lse = malloc((size_t)(n_rows * item(call)) + 1);
    a->query = rows(call, call->query, &call->bytes[0], q_heads, q_len, CALL_DIM);
    a->key = a->value = rows(call, call->key, &call->bytes[1], kv_heads, kv_len, CALL_DIM);
    a->value.data = call->value;
    a->output = rows(call, call->output, &call->bytes[2], q_heads, q_len, CALL_DIM);
    a->weights = rows(call, call->weights, &call->bytes[3], q_heads, q_len, kv_len);
    a->lse = rows(call, call->lse, &call->bytes[4], q_heads, q_len, 1);
}

void callback_free(callback_call *call)
{
    void *const arrays[] = {call->query, call->key, call->value, call->output, call->weights, call->lse};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) free(arrays[i]);
}

fov_status callback_run(callback_call *call)
{
    size_t size = 0;
    memset(call->output, 0xA5, call->output_size);
    memset(call->weights, 0xA5, call->weights_size);
    memset(call->lse, 0xA5, call->output_size / CALL_DIM);
    memset(&call->stats, 0, sizeof call->stats);
    fov_status status = fov_workspace_size(&call->args, &size);
    if (status != FOV_OK) return status;
    void *workspace = malloc(size);
    status = fov_attention(&call->args, workspace, size);
    free(workspace);
    return status;
}

int callback_same(const callback_call *a, const callback_call *b)
{
    return a->output_size == b->output_size && a->weights_size == b->weights_size &&
           memcmp(a->output, b->output, a->output_size) == 0 && memcmp(a->weights, b->weights, a->weights_size) == 0 &&
           memcmp(a->lse, b->lse, a->output_size / CALL_DIM) == 0;
}

double callback_weight(const callback_call *call, int64_t index)
{
    return call->args.dtype == FOV_F64 ? ((const double *)call->weights)[index] : ((const float *)call->weights)[index];
}
