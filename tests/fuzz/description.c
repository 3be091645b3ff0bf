#include "description.h"

#include <math.h>
#include <string.h>

enum { BATCHES = 3, SMALL = 5000, MIDDLE = 100000, LARGE = 3000000 /* multiply-adds; threads start at 2 million */ };

static int64_t work(const fov_attention_args *a, int64_t batch)
{
    return batch * a->n_q_heads * a->q_len * a->kv_len * (a->head_dim + a->value_dim + 4);
}

static void choose_sizes(description *d, choices *in)
{
    fov_attention_args *a = &d->args;
    unsigned sizes = take(in);
    int64_t most = sizes < 252 ? SMALL : sizes < 255 ? MIDDLE : LARGE;
    a->n_batch_axes = (int32_t)(sizes % BATCHES);
    a->batch_shape = d->batch_shape;
    d->batch = 1;
    for (int i = 0; i < a->n_batch_axes; i++) d->batch *= d->batch_shape[i] = TAKE_OF(in, int64_t, 1, 2, 3, 1, 2, 1, 1, 0);
    a->n_kv_heads = TAKE_OF(in, int64_t, 1, 1, 2, 3, 1, 2, 1, 0);
    a->n_q_heads = a->n_kv_heads * TAKE_OF(in, int64_t, 1, 2, 1, 3, 4, 8, 9, 1, 17);
    a->q_len = TAKE_OF(in, int64_t, 1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 23, 24, 25, 31, 32, 33, 47, 48, 49, 63, 64, 65, 97,
                       128, 129, 193, 200, 300, 0);
    a->kv_len = TAKE_OF(in, int64_t, 3, 1, 2, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 200, 255,
                        256, 257, 300, 511, 512, 513, 1025, 0, 8193);
    a->head_dim = TAKE_OF(in, int64_t, 2, 1, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32, 33, 40, 63, 64, 65, 100, 0);
    a->value_dim = TAKE_OF(in, int64_t, 2, 1, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32, 33, 40, 63, 64, 65, 300, 0);
    while (work(a, d->batch) > most) {
        if (a->q_len > 1 && a->q_len * 8 > a->kv_len) a->q_len = (a->q_len + 1) / 2;
        else if (a->head_dim + a->value_dim > 16) a->head_dim = (a->head_dim + 1) / 2, a->value_dim = (a->value_dim + 1) / 2;
        else if (a->n_q_heads > a->n_kv_heads) a->n_q_heads = a->n_kv_heads;
        else a->kv_len = (a->kv_len + 1) / 2;
    }
}

static void choose_mode(description *d, choices *in)
{
    fov_attention_args *a = &d->args;
    unsigned stages = take(in);
    a->stages = stages % 8 < 5 ? FOV_STAGE_ALL : 1 << (stages % 8 - 5);
    if (stages >= 208) a->kv_dtype = FOV_INT8 + (int32_t)(stages >> 3 & 1);
    a->score = (int32_t)(take(in) % 5);
    a->activation = (int32_t)(take(in) % 11);
    a->combine = (int32_t)(take(in) % 3);
    a->dtype = (int32_t)(take(in) % 4);
    a->n_threads = TAKE_OF(in, int32_t, 1, 1, 1, 2, 3, 0, -1, 1, INT32_MAX);
    a->entmax_alpha = TAKE_OF(in, double, 1.5, 1.25, 2, 1.0625, 4, 100, 1 + 0x1p-52, 1e300);
    a->top_k = TAKE_OF(in, int64_t, 1, 2, 3, 8, 17, 100, INT64_MAX);
    a->select_k = TAKE_OF(in, int64_t, 1, 2, 3, 8, 17, 100, INT64_MAX);
    a->select_temperature = TAKE_OF(in, double, 1, 0.5, 2, 1e-3, 1e3, 1e-300, 1e300);
    a->sigmoid_bias = TAKE_OF(in, double, 0, -1, 5, -300, 1e300, -1e300);
}

static void choose_numbers(description *d, choices *in)
{
    fov_attention_args *a = &d->args;
    unsigned scale = take(in) % 10, softcap = take(in) % 8;
    a->scale = ((const double[]){1, 0.125, -0.75, 0, 2, 0x1p-126, 1e-40, 1e37, -1e38, 1e300})[scale];
    a->softcap = ((const double[]){0, 0, 0, 1, 30, 1e-300, 1e38, 1e300})[softcap];
    d->is_tame &= scale < 7;
    a->window_left = TAKE_OF(in, int64_t, FOV_OPEN, 0, 1, 5, 40, 300, FOV_OPEN - 1, INT64_C(1) << 61);
    a->window_right = TAKE_OF(in, int64_t, FOV_OPEN, 0, 0, 1, 17, 100, FOV_OPEN - 1, INT64_C(1) << 61);
    a->q_offset.value = TAKE_OF(in, int64_t, 0, 1, -1, 40, -40, 300, INT64_MAX, INT64_MIN);
    a->kv_lengths.value = a->kv_len;
    unsigned filled = take(in);
    if (filled & 1) a->kv_lengths.value = filled < 250 ? filled >> 1 : TAKE_OF(in, int64_t, -1, INT64_MAX, INT64_MIN, 1);
}

fov_array *description_view(description *d, int which)
{
    fov_attention_args *a = &d->args;
    fov_array *views[] = {&a->query,  &a->key,  &a->value, &a->output,    &a->lse,     &a->weights,
                          &a->logits, &a->mask, &a->bias,  &a->key_stats, &a->k_scale, &a->v_scale};
    return views[which];
}

int description_is_used(const description *d, int stage) { return (d->args.stages & stage) != 0; }

/* (batch, heads, rows, columns) of one array; `keys` is one more axis before the columns, of products. */
static void add_view(description *d, choices *in, int which, int dtype, int64_t heads, int64_t rows, int64_t keys,
                     int64_t columns, int is_written)
{
    fov_array *view = description_view(d, which);
    area *a = &d->areas[which];
    int64_t shape[MAX_AXES];
    int n = d->args.n_batch_axes;
    memcpy(shape, d->batch_shape, sizeof d->batch_shape);
    shape[n++] = heads;
    shape[n++] = rows;
    if (keys >= 0) shape[n++] = keys;
    shape[n++] = columns;
    area_make(a, in, dtype, n, shape, is_written);
    *view = (fov_array){.data = a->start, .batch_bytes = a->strides, .dtype = dtype, .column_bytes = a->strides[n - 1]};
    view->head_bytes = a->strides[d->args.n_batch_axes];
    view->row_bytes = a->strides[d->args.n_batch_axes + 1];
    if (keys >= 0) d->args.output_key_bytes = a->strides[n - 2];
}

static void add_input(description *d, choices *in, int which, int dtype, int64_t heads, int64_t rows, int64_t columns)
{
    unsigned kind = take(in);
    int logits = which == BIAS || which == LOGITS || which == WEIGHTS;
    nature of = kind < 160 ? TAME : kind < 200 ? GAPPED : kind < 230 ? ODD : WILD;
    add_view(d, in, which, dtype, heads, rows, -1, columns, 0);
    area_fill(&d->areas[which], of, kind);
    if (which != MASK && (of > GAPPED || (of == GAPPED && (!logits || which == WEIGHTS)))) d->is_tame = 0;
}

/* Key or value, and, for quantized ones at times, the scales. */
static void add_rows(description *d, choices *in, int which, int scales, int64_t columns)
{
    const fov_attention_args *a = &d->args;
    add_input(d, in, which, a->kv_dtype ? a->kv_dtype : a->dtype, a->n_kv_heads, a->kv_len, columns);
    if (a->kv_dtype && take(in) & 3) add_input(d, in, scales, FOV_F32, a->n_kv_heads, a->kv_len, 1);
}

/* Arrays that the stages read and write; others are there at times, and must stay as they are. */
static void add_arrays(description *d, choices *in)
{
    fov_attention_args *a = &d->args;
    unsigned options = take(in);
    int real = a->dtype == FOV_F64 ? FOV_F64 : FOV_F32, all = a->stages == FOV_STAGE_ALL;
    int scores = description_is_used(d, FOV_STAGE_SCORE), activates = description_is_used(d, FOV_STAGE_ACTIVATION),
        combines = description_is_used(d, FOV_STAGE_COMBINE);
    int64_t hq = a->n_q_heads;
    if (scores) {
        add_input(d, in, QUERY, a->dtype, hq, a->q_len, a->head_dim);
        add_rows(d, in, KEY, K_SCALE, a->key_dim ? a->key_dim : a->head_dim);
        if (options & 1) add_input(d, in, BIAS, (int)(take(in) % 4), hq, a->q_len, a->kv_len);
    }
    if (options & 2) add_input(d, in, MASK, FOV_BOOL, hq, a->q_len, a->kv_len);
    if (combines) {
        int64_t keys = a->combine == FOV_COMBINE_PRODUCT ? a->kv_len : -1;
        add_rows(d, in, VALUE, V_SCALE, a->value_dim);
        add_view(d, in, OUTPUT, a->dtype, hq, a->q_len, keys, a->value_dim, 1);
    }
    if (activates && options & 4 && fov_activation_has_lse(a->activation)) add_view(d, in, LSE, real, hq, a->q_len, -1, 1, 1);
    if (activates && options & 8) {
        a->key_stats_kind = 1 + (int32_t)(options >> 4 & 1);
        add_view(d, in, KEY_STATS, real, hq, 1, -1, a->kv_len, 1);
    }
    if (!all && !scores) add_input(d, in, activates ? LOGITS : WEIGHTS, a->dtype, hq, a->q_len, a->kv_len);
    if (!all && scores) add_view(d, in, LOGITS, a->dtype, hq, a->q_len, -1, a->kv_len, 1);
    if (activates && (!all || options & 32)) add_view(d, in, WEIGHTS, a->dtype, hq, a->q_len, -1, a->kv_len, 1);
    for (int which = 0; options & 64 && which < OUTPUT; which++)
        if (!d->areas[which].block) add_view(d, in, which, a->dtype, 0, 0, -1, 0, 0);
}

/* (heads, rows, columns) of a learnt array; heads or not, a gap between rows or not. */
static void add_parameter(description *d, choices *in, int which, fov_parameter *p, int64_t rows, int64_t columns)
{
    unsigned layout = take(in);
    const int64_t shape[] = {layout & 1 ? d->args.n_q_heads : 1, rows, columns};
    int real = d->args.dtype == FOV_F64 ? FOV_F64 : FOV_F32;
    area *a = &d->areas[which];
    area_make_plain(a, real, 3, shape, layout >> 1 & 1, 0);
    area_fill(a, layout < 240 ? TAME : WILD, layout);
    if (layout >= 240) d->is_tame = 0;
    *p = (fov_parameter){.data = a->start, .row_elements = a->strides[1] / (int64_t)number_bytes(real)};
    if (layout & 1) p->head_elements = a->strides[0] / (int64_t)number_bytes(real);
}

static void add_parameters(description *d, choices *in)
{
    fov_attention_args *a = &d->args;
    unsigned which = take(in);
    int64_t width = TAKE_OF(in, int64_t, 1, 3, 8, 17, 33), keys = TAKE_OF(in, int64_t, 1, 2, 5, 16, 40);
    int projects_q = (which & 1) != 0, projects_k = (which & 2) != 0;
    if (!description_is_used(d, FOV_STAGE_SCORE)) return;
    if (a->score == FOV_SCORE_BILINEAR) { /* (head_dim, key_dim) */
        if (which & 1) a->key_dim = keys;
        if (which & 2) a->score_dim = a->key_dim ? a->key_dim : a->head_dim;
        add_parameter(d, in, W_Q, &a->score_w_q, a->head_dim, a->key_dim ? a->key_dim : a->head_dim);
    } else if (a->score == FOV_SCORE_ADDITIVE) {
        if (projects_q || projects_k) a->score_dim = projects_q ? width : a->head_dim;
        if (projects_q || projects_k) a->key_dim = projects_k ? keys : width;
        if (projects_q) add_parameter(d, in, W_Q, &a->score_w_q, a->head_dim, a->score_dim);
        if (projects_k) add_parameter(d, in, W_K, &a->score_w_k, a->key_dim, a->score_dim);
        if (which & 4) add_parameter(d, in, SCORE_V, &a->score_v, 1, a->score_dim ? a->score_dim : a->head_dim);
    }
}

static void add_per_batch(description *d, choices *in, int which, fov_per_batch *numbers)
{
    area *a = &d->areas[which];
    area_make(a, in, INT64, d->args.n_batch_axes, d->batch_shape, 0);
    area_fill(a, TAME, take(in));
    numbers->data = (const int64_t *)(const void *)a->start;
    numbers->batch_bytes = a->strides;
}

static const double *add_per_head(description *d, choices *in, int which)
{
    area *a = &d->areas[which];
    area_make_plain(a, FOV_F64, 1, &d->args.n_q_heads, 0, 0);
    area_fill(a, which == SINKS ? GAPPED : TAME, take(in));
    return (const double *)(const void *)a->start;
}

static void add_rest(description *d, choices *in)
{
    fov_attention_args *a = &d->args;
    unsigned rest = take(in);
    if (rest & 1) add_per_batch(d, in, Q_OFFSET, &a->q_offset);
    if (rest & 2) add_per_batch(d, in, KV_LENGTHS, &a->kv_lengths);
    if (rest & 4 && a->activation == FOV_ACTIVATION_SOFTMAX) a->sinks = add_per_head(d, in, SINKS);
    if (rest & 8) a->alibi_slopes = add_per_head(d, in, SLOPES);
    if (rest & 16) a->stats = &d->stats;
    d->is_tame &= host_make(&d->host, in, a, d->batch, &d->cancel);
}

/* Tame arguments still leave the range where distances do, and f16 where weights are not bounded by 1. */
static int stays_in_range(const fov_attention_args *a)
{
    int far = a->q_offset.value > 1000 || a->q_offset.value < -1000, grows = 0;
    grows |= a->activation >= FOV_ACTIVATION_RELU && a->activation <= FOV_ACTIVATION_RELU2;
    grows |= a->activation == FOV_ACTIVATION_IDENTITY || a->stages == FOV_STAGE_SCORE;
    grows |= a->kv_dtype != 0;
    return !(a->alibi_slopes && far) && !(a->dtype == FOV_F16 && grows);
}

void description_make(description *d, choices *in)
{
    memset(d, 0, sizeof *d);
    d->is_tame = 1;
    d->args.size = sizeof d->args;
    choose_mode(d, in);
    choose_sizes(d, in);
    choose_numbers(d, in);
    add_parameters(d, in);
    add_arrays(d, in);
    add_rest(d, in);
    d->is_tame &= stays_in_range(&d->args);
}

void description_free(description *d)
{
    for (int i = 0; i < N_AREAS; i++) area_free(&d->areas[i]);
}
