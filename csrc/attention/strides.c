/* The strides of the arguments: there, small enough that no sum of theirs overflows, and apart where something is written. */
#include "attention/plan.h"
#include "attention/problem.h"

enum {
    MOST_STRIDE_BITS = 47, /* no address space is larger; times FOV_MAX_TILE_KEYS it stays below 2^63 */
    MOST_STEPS = 1 << 16   /* of an axis through the gaps of another; layouts without gaps take none */
};

typedef struct axes {
    const fov_attention_args *args;
    const fov_array *array;
    int64_t lengths[4], strides[4]; /* head, row, key of a product, column */
} axes;

static int64_t length(const axes *x, int i) { return i < 4 ? x->lengths[i] : x->args->batch_shape[i - 4]; }

static int64_t distance(const axes *x, int i)
{
    int64_t stride = i < 4 ? x->strides[i] : x->array->batch_bytes[i - 4];
    return stride < 0 ? -stride : stride;
}

/* 1: steps of two axes, the larger first, lead to elements that share a byte. */
static int meet(int64_t far, int64_t n_far, int64_t near, int64_t n_near, int64_t element)
{
    int64_t last = fov_product(n_near - 1, near);
    if (last < 0) return 0; /* more than any memory: nothing that is there to be written */
    for (int64_t i = 1, at = far; i < n_far && i <= MOST_STEPS && at - last < element; i++, at += far)
        if (at % near < element || (near - at % near < element && at < last)) return 1;
    return 0;
}

/* 1: no two axes lead to the same byte. Three axes that meet only together are not found. */
static int lies_apart(const axes *x, int64_t element)
{
    int n = 4 + x->args->n_batch_axes;
    for (int i = 0; i < n; i++)
        if (length(x, i) == 0) return 1;
    for (int i = 0; i < n; i++) {
        if (length(x, i) < 2) continue;
        if (distance(x, i) < element) return 0;
        for (int j = 0; j < n; j++)
            if (j != i && length(x, j) > 1 && distance(x, j) >= element && distance(x, j) <= distance(x, i) &&
                meet(distance(x, i), length(x, i), distance(x, j), length(x, j), element))
                return 0;
    }
    return 1;
}

/* Columns, rows, heads, each behind the other: what most callers have, seen without a loop. */
static int is_dense(const axes *x, int64_t element)
{
    return x->args->n_batch_axes == 0 && x->lengths[2] == 1 && x->strides[3] == element &&
           x->strides[1] >= x->lengths[3] * element &&
           (x->lengths[0] == 1 || (x->lengths[1] < MOST_STEPS && x->strides[0] >= x->lengths[1] * x->strides[1]));
}

static fov_status check_written(const fov_attention_args *a, const char *name, const fov_array *array, int dtype, int64_t rows,
                                int64_t keys, int64_t columns)
{
    static const int8_t bytes_of[FOV_N_DTYPES] = {[FOV_F32] = 4, [FOV_F64] = 8, [FOV_F16] = 2, [FOV_BF16] = 2};
    axes x = {.args = a,
              .array = array,
              .lengths = {a->n_q_heads, rows, keys, columns},
              .strides = {array->head_bytes, array->row_bytes, a->output_key_bytes, array->column_bytes}};
    if (rows == 0 || columns == 0 || is_dense(&x, bytes_of[dtype]) || lies_apart(&x, bytes_of[dtype])) return FOV_OK;
    return fov_problem(FOV_ERROR_ARGUMENT, "%s must have strides that keep its elements apart", name);
}

static fov_status check_no_overlap(const fov_attention_args *a)
{
    int combines = (a->stages & FOV_STAGE_COMBINE) != 0, activates = (a->stages & FOV_STAGE_ACTIVATION) != 0;
    int real = a->dtype == FOV_F64 ? FOV_F64 : FOV_F32;
    int64_t keys = a->combine == FOV_COMBINE_INDEX_product ? a->kv_len : 1;
    fov_status status = FOV_OK;
    if (combines && a->output.data) status = check_written(a, "output", &a->output, a->dtype, a->q_len, keys, a->value_dim);
    if (!status && activates && a->lse.data) status = check_written(a, "lse", &a->lse, real, a->q_len, 1, 1);
    if (!status && activates && a->weights.data)
        status = check_written(a, "weights", &a->weights, a->dtype, a->q_len, 1, a->kv_len);
    if (!status && a->stages == FOV_STAGE_SCORE)
        status = check_written(a, "logits", &a->logits, a->dtype, a->q_len, 1, a->kv_len);
    if (!status && a->key_stats_kind) status = check_written(a, "key_stats", &a->key_stats, real, 1, 1, a->kv_len);
    return status;
}

/* The bits of |stride|, or one more. */
static uint64_t bits(int64_t stride) { return (uint64_t)(stride ^ (stride >> 63)); }

static fov_status check_batch(const fov_attention_args *a, const char *name, const void *data, const int64_t *batch_bytes,
                              uint64_t strides)
{
    if (!data) return FOV_OK;
    if (a->n_batch_axes && !batch_bytes)
        return fov_problem(FOV_ERROR_ARGUMENT, "%s.batch_bytes must not be NULL where there are batch axes", name);
    for (int i = 0; i < a->n_batch_axes; i++) strides |= bits(batch_bytes[i]);
    if (strides >> MOST_STRIDE_BITS == 0) return FOV_OK;
    return fov_problem(FOV_ERROR_ARGUMENT, "%s must have strides below 2^%d bytes", name, MOST_STRIDE_BITS);
}

static uint64_t all_bits(const fov_array *x) { return bits(x->head_bytes) | bits(x->row_bytes) | bits(x->column_bytes); }

/* Arrays that are not there may have any strides. */
static fov_status check_each(const fov_attention_args *a)
{
    const fov_array *const arrays[] = {&a->query,  &a->key,  &a->value, &a->output,    &a->lse,     &a->weights,
                                       &a->logits, &a->mask, &a->bias,  &a->key_stats, &a->k_scale, &a->v_scale};
    static const char names[][10] = {"query",  "key",  "value", "output",    "lse",     "weights",
                                     "logits", "mask", "bias",  "key_stats", "k_scale", "v_scale"};
    fov_status status = FOV_OK;
    for (int i = 0; i < (int)(sizeof arrays / sizeof *arrays) && !status; i++) {
        const fov_array *x = arrays[i];
        status = check_batch(a, names[i], x->data, x->batch_bytes, all_bits(x));
    }
    if (!status) status = check_batch(a, "q_offset", a->q_offset.data, a->q_offset.batch_bytes, 0);
    if (!status) status = check_batch(a, "kv_lengths", a->kv_lengths.data, a->kv_lengths.batch_bytes, 0);
    if (!status && a->combine == FOV_COMBINE_INDEX_product && bits(a->output_key_bytes) >> MOST_STRIDE_BITS)
        status = fov_problem(FOV_ERROR_ARGUMENT, "output_key_bytes must be below 2^%d", MOST_STRIDE_BITS);
    return status;
}

fov_status fov_check_strides(const fov_attention_args *a)
{
    /* one comparison for a call without batch axes: a tenth of the instructions of a tiny call otherwise */
    uint64_t all = all_bits(&a->query) | all_bits(&a->key) | all_bits(&a->value) | all_bits(&a->output) | all_bits(&a->lse) |
                   all_bits(&a->weights) | all_bits(&a->logits) | all_bits(&a->mask) | all_bits(&a->bias) |
                   all_bits(&a->key_stats) | all_bits(&a->k_scale) | all_bits(&a->v_scale) | bits(a->output_key_bytes);
    fov_status status = a->n_batch_axes || all >> MOST_STRIDE_BITS ? check_each(a) : FOV_OK;
    return status ? status : check_no_overlap(a);
}
