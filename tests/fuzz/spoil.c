#include "spoil.h"

#include <math.h>
#include <stddef.h>

/* The field of a number, and what it may not be. */
static int spoil_choice(description *d, choices *in)
{
    fov_attention_args *a = &d->args;
    int32_t *const fields[] = {&a->stages, &a->score, &a->activation, &a->combine, &a->dtype, &a->key_stats_kind};
    int32_t *field = fields[take(in) % 6];
    *field = TAKE_OF(in, int32_t, 99, -1, INT32_MAX, INT32_MIN, 11, 64);
    return !(field == &a->score && !description_is_used(d, FOV_STAGE_SCORE)) || *field < 0 || *field > 4;
}

static int spoil_size(description *d, choices *in)
{
    fov_attention_args *a = &d->args;
    int64_t *const fields[] = {&a->n_q_heads, &a->n_kv_heads, &a->q_len,          &a->kv_len,      &a->head_dim,    &a->value_dim,
                               &a->key_dim,   &a->score_dim,  &d->batch_shape[0], &a->window_left, &a->window_right};
    unsigned which = take(in) % 11;
    if (which == 8 && a->n_batch_axes == 0) return 0;
    *fields[which] = TAKE_OF(in, int64_t, -1, -2, INT64_MIN, INT64_MIN + 1, -(INT64_C(1) << 40));
    return 1;
}

/* Too large for the product of all sizes, or for 31 bits. */
static int spoil_product(description *d, choices *in)
{
    fov_attention_args *a = &d->args;
    if (take(in) & 1) {
        int64_t *const fields[] = {&a->head_dim, &a->value_dim, &a->key_dim, &a->score_dim};
        *fields[take(in) % 4] = TAKE_OF(in, int64_t, INT64_MAX, INT64_C(1) << 31, INT64_C(1) << 62);
        return 1;
    }
    a->q_len = TAKE_OF(in, int64_t, INT64_MAX, INT64_C(1) << 40, INT64_C(1) << 62);
    a->kv_len = TAKE_OF(in, int64_t, INT64_MAX, INT64_C(1) << 40, INT64_C(1) << 62);
    return 1;
}

static int spoil_number(description *d, choices *in)
{
    fov_attention_args *a = &d->args;
    double bad = TAKE_OF(in, double, NAN, INFINITY, -INFINITY, -1);
    int activates = description_is_used(d, FOV_STAGE_ACTIVATION), combines = description_is_used(d, FOV_STAGE_COMBINE);
    switch (take(in) % 7) {
    case 0: return a->scale = bad, bad != -1;
    case 1: return a->softcap = bad, 1;
    case 2: return a->sigmoid_bias = bad, activates && bad != -1;
    case 3: return a->entmax_alpha = bad, activates && a->activation == FOV_ACTIVATION_ENTMAX;
    case 4: return a->select_temperature = bad, combines && a->combine == FOV_COMBINE_SELECT;
    case 5: return a->select_k = TAKE_OF(in, int64_t, 0, -1, INT64_MIN), combines && a->combine == FOV_COMBINE_SELECT;
    default: return a->top_k = TAKE_OF(in, int64_t, 0, -1, INT64_MIN), activates && a->activation == FOV_ACTIVATION_TOPK;
    }
}

/* 1: the call touches elements of this array, or would. */
static int is_needed(const description *d, int which)
{
    const area *a = &d->areas[which];
    int optional = which == LSE || which == MASK || which == BIAS || which == K_SCALE || which == V_SCALE;
    if (!a->block || optional || (which == WEIGHTS && d->args.stages == FOV_STAGE_ALL)) return 0;
    for (int i = 0; i < a->n_axes; i++)
        if (a->shape[i] == 0) return 0;
    return d->args.q_len > 0 && d->args.kv_len > 0;
}

static int spoil_pointer(description *d, choices *in)
{
    fov_attention_args *a = &d->args;
    unsigned which = take(in) % (N_VIEWS + 2);
    if (which == N_VIEWS) return a->batch_shape = NULL, a->n_batch_axes > 0;
    if (which > N_VIEWS)
        return a->score_w_q.data = NULL, description_is_used(d, FOV_STAGE_SCORE) && a->score == FOV_SCORE_BILINEAR;
    int needed = is_needed(d, (int)which);
    if (needed) description_view(d, (int)which)->data = NULL;
    return needed;
}

static int spoil_view(description *d, choices *in)
{
    static const int typed[] = {LSE, MASK, BIAS, KEY_STATS, K_SCALE, V_SCALE};
    int which = typed[take(in) % 6];
    fov_array *view = description_view(d, which);
    if (!view->data || (which == KEY_STATS && !d->args.key_stats_kind)) return 0;
    view->dtype = TAKE_OF(in, int32_t, 5, -1, INT32_MAX, INT32_MIN);
    return 1;
}

static int spoil_batch_bytes(description *d, choices *in)
{
    unsigned which = take(in) % (N_VIEWS + 2);
    const fov_attention_args *a = &d->args;
    if (a->n_batch_axes == 0) return 0;
    if (which == N_VIEWS) return d->args.q_offset.batch_bytes = NULL, a->q_offset.data != NULL;
    if (which > N_VIEWS) return d->args.kv_lengths.batch_bytes = NULL, a->kv_lengths.data != NULL;
    if (!is_needed(d, (int)which)) return 0;
    description_view(d, (int)which)->batch_bytes = NULL;
    return 1;
}

/* Two elements of a result at one address. */
static int spoil_strides(description *d, choices *in)
{
    static const int written[] = {OUTPUT, WEIGHTS, LOGITS, KEY_STATS, LSE};
    int which = written[take(in) % 5], n = d->args.n_batch_axes;
    area *a = &d->areas[which];
    fov_array *view = description_view(d, which);
    if (!a->block || !a->is_written || (!is_needed(d, which) && which != WEIGHTS && which != LSE)) return 0;
    for (int i = 0; i < a->n_axes; i++)
        if (a->shape[i] == 0) return 0;
    int axis = (int)take(in) % a->n_axes;
    if (a->shape[axis] < 2) return 0;
    if (axis < n) a->strides[axis] = 0;
    else if (axis == n) view->head_bytes = 0;
    else if (axis == n + 1) view->row_bytes = 0;
    else if (axis == a->n_axes - 1) view->column_bytes = 1;
    else d->args.output_key_bytes = 0;
    return 1;
}

/* Strides that no address space has, of an axis that is never stepped or of any other; a learnt array at an odd address. */
static int spoil_distance(description *d, choices *in)
{
    static const int learnt[] = {W_Q, W_K, SCORE_V};
    fov_attention_args *a = &d->args;
    fov_parameter *const parameters[] = {&a->score_w_q, &a->score_w_k, &a->score_v};
    unsigned which = take(in) % (N_VIEWS + 3);
    if (which >= N_VIEWS) {
        fov_parameter *p = parameters[which - N_VIEWS];
        if (!d->areas[learnt[which - N_VIEWS]].block) return 0;
        p->data = (const char *)p->data + 1 + take(in) % 3;
        return 1;
    }
    fov_array *view = description_view(d, (int)which);
    int64_t *const strides[] = {&view->head_bytes, &view->row_bytes, &view->column_bytes};
    if (!view->data) return 0;
    *strides[take(in) % 3] = TAKE_OF(in, int64_t, INT64_C(1) << 48, INT64_MAX, INT64_MIN, -(INT64_C(1) << 60));
    return 1;
}

static int spoil_unsupported(description *d, choices *in)
{
    static double sinks[64];
    fov_attention_args *a = &d->args;
    if (!description_is_used(d, FOV_STAGE_ACTIVATION)) return 0;
    if (take(in) & 1) return a->sinks = sinks, a->activation != FOV_ACTIVATION_SOFTMAX;
    if (fov_activation_has_lse(a->activation) || a->dtype == FOV_F64) return 0;
    a->lse = (fov_array){.data = sinks, .batch_bytes = d->batch_shape, .dtype = FOV_F32};
    return 1;
}

static int spoil_struct_size(description *d, choices *in)
{
    d->args.size = TAKE_OF(in, size_t, 0, 1, 8, offsetof(fov_attention_args, kv_dtype) - 1,
                           offsetof(fov_attention_args, kv_dtype) - 8, SIZE_MAX);
    return 1;
}

int spoil(description *d, unsigned which, choices *in)
{
    static int (*const ways[])(description *, choices *) = {
        spoil_choice,      spoil_size,    spoil_product,     spoil_number,      spoil_pointer,  spoil_view,
        spoil_batch_bytes, spoil_strides, spoil_unsupported, spoil_struct_size, spoil_distance,
    };
    const fov_attention_args before = d->args;
    int refused = ways[which % (sizeof ways / sizeof *ways)](d, in);
    if (!refused) d->args = before;
    return refused;
}
