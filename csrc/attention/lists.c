/* Rows whose weights are mostly exact zeros, sparse activations and soft selection: the logits that may get a weight are collected
 * while the keys stream past; at the end the weights are solved for on them alone, and only their values are touched. */
#include <math.h>
#include <string.h>

#include "attention/task.h"

static char *values_of(const fov_task *t, const fov_query_block *q, int row)
{
    return (char *)q->lists.values + row * q->lists.stride * t->plan->kernels->real_bytes;
}

static int32_t *keys_of(const fov_query_block *q, int row) { return q->lists.keys + row * q->lists.stride; }

void fov_start_lists(fov_task *t, fov_query_block *q)
{
    const fov_list_kernels *lists = &t->plan->kernels->lists;
    memset(q->lists.n, 0, sizeof q->lists.n);
    q->lists.stride = t->plan->list_stride;
    lists->set_limit(&q->lists, 0, q->block.n_lanes, -(double)INFINITY);
    for (int i = 0; i < q->block.n_lanes; i++) {
        fov_lists max = {.limit = q->block.row_max};
        lists->set_limit(&max, i, 1, -(double)INFINITY);
    }
}

/* A list that holds twice what is kept is cut; what is not above its smallest need not join any more. */
static void prune(fov_task *t, fov_query_block *q, int row)
{
    const fov_plan *p = t->plan;
    int64_t room = 2 * p->keep < p->list_stride ? 2 * p->keep : p->list_stride;
    if (q->lists.n[row] <= p->keep || q->lists.n[row] < room) return;
    double least = p->kernels->lists.keep(values_of(t, q, row), keys_of(q, row), q->lists.n[row], p->keep);
    q->lists.n[row] = p->keep;
    p->kernels->lists.set_limit(&q->lists, row * q->block.key_lanes, q->block.key_lanes, least);
}

void fov_collect(fov_task *t, fov_query_block *q, int64_t key)
{
    const fov_plan *p = t->plan;
    if (p->args->stages == FOV_STAGE_COMBINE) { /* a given weight of 0, or none, is no candidate */
        p->kernels->modify.differ(&q->block, 0, t->attend);
        p->kernels->modify.mask(&q->block, t->attend);
    }
    if ((p->args->stages & FOV_STAGE_ACTIVATION) && p->activation->reach)
        p->kernels->lists.raise(&q->block, &q->lists, p->activation->reach(p->args->entmax_alpha));
    p->kernels->lists.collect(&q->block, key, &q->lists);
    for (int row = 0; p->keep && p->keep < p->args->kv_len && row < q->block.n_rows; row++) prune(t, q, row);
}

/* The weights of a list by an elementwise activation, whose kernel takes it for a tile. */
static void activate_elements(fov_task *t, fov_query_block *q, int row)
{
    const fov_plan *p = t->plan;
    fov_block b = q->block;
    b.tile = values_of(t, q, row);
    b.n_lanes = p->kernels->vector_lanes;
    b.n_steps = (int)((q->lists.n[row] + b.n_lanes - 1) / b.n_lanes); /* the stride leaves room for a vector */
    p->activation->weights(&b);
}

/* w -> sign(w) |w|^(1 / temperature), divided by the sum of the sizes */
static void select_weights(double *w, int64_t n, double temperature)
{
    double whole = 0, largest = 0;
    for (int64_t i = 0; i < n; i++) largest = fabs(w[i]) > largest ? fabs(w[i]) : largest;
    for (int64_t i = 0; i < n; i++) { /* of the largest: the power of a small weight may underflow */
        if (temperature != 1 && largest > 0) w[i] = copysign(pow(fabs(w[i]) / largest, 1 / temperature), w[i]);
        whole += fabs(w[i]);
    }
    for (int64_t i = 0; i < n; i++) w[i] = whole == 0 ? 0 : w[i] / whole;
}

/* Drops what has weight 0; w holds the others. */
static int64_t keep_positive(double *w, int32_t *keys, int64_t n)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++)
        if (w[i] != 0) {
            w[kept] = w[i];
            keys[kept++] = keys[i];
        }
    return kept;
}

/* Logits of the list, times the multiplier, as doubles; 0 where one of them leaves no finite weights. */
static int read_logits(fov_task *t, fov_query_block *q, int row, double multiplier)
{
    double *x = t->list_row;
    t->plan->kernels->moves[FOV_F64].row_out(values_of(t, q, row), q->lists.n[row], (char *)x, 8);
    for (int64_t i = 0; i < q->lists.n[row]; i++) {
        x[i] *= multiplier;
        if (!(x[i] < (double)INFINITY)) return 0;
    }
    return 1;
}

static void write_back(fov_task *t, fov_query_block *q, int row)
{
    t->plan->kernels->moves[FOV_F64].row_in((const char *)t->list_row, 8, q->lists.n[row], values_of(t, q, row));
}

/* Logits -> weights of the activation, in t->list_row and the list; 0: the row is NaN. */
static int solve(fov_task *t, fov_query_block *q, int row)
{
    const fov_plan *p = t->plan;
    int activates = (p->args->stages & FOV_STAGE_ACTIVATION) != 0;
    int64_t *n = &q->lists.n[row];
    double multiplier = q->block.multiplier;
    if (p->keep && *n > p->keep) {
        p->kernels->lists.keep(values_of(t, q, row), keys_of(q, row), *n, p->keep);
        *n = p->keep;
    }
    if (activates && p->activation->elementwise) {
        activate_elements(t, q, row);
        multiplier = 1;
        activates = 0;
    }
    if (!read_logits(t, q, row, multiplier)) return 0;
    if (!activates || *n == 0) return 1;
    if (p->activation->solve) {
        p->activation->solve(t->list_row, *n, p->args->entmax_alpha);
        *n = keep_positive(t->list_row, keys_of(q, row), *n);
    } else { /* softmax before a selection, which divides by a sum of its own */
        p->kernels->activation[FOV_ACTIVATION_INDEX_topk].solve(t->list_row, *n, 0);
    }
    write_back(t, q, row);
    return 1;
}

static void select_row(fov_task *t, fov_query_block *q, int row)
{
    const fov_attention_args *a = t->plan->args;
    int64_t *n = &q->lists.n[row];
    if (a->select_k < *n) {
        t->plan->kernels->lists.keep(values_of(t, q, row), keys_of(q, row), *n, a->select_k);
        *n = a->select_k;
        t->plan->kernels->moves[FOV_F64].row_out(values_of(t, q, row), *n, (char *)t->list_row, 8);
    }
    select_weights(t->list_row, *n, a->select_temperature);
    *n = keep_positive(t->list_row, keys_of(q, row), *n);
    write_back(t, q, row);
}

/* sum_i w_i value_(key_i), rows of values as they lie or in parts of a tile through scratch. */
static void sum_row(fov_task *t, fov_query_block *q, int row, int is_nan)
{
    const fov_plan *p = t->plan;
    int64_t real = p->kernels->real_bytes, dim = p->args->value_dim, n = q->lists.n[row], ld;
    char *weights = values_of(t, q, row), *sum = q->block.accumulators;
    int32_t *keys = keys_of(q, row);
    memset(sum, 0, (size_t)(dim * real));
    if (is_nan) {
        static const double nan = NAN;
        p->kernels->moves[FOV_F64].row_in((const char *)&nan, 0, dim, sum);
        return;
    }
    const char *values = fov_values(t, &ld);
    if (values) {
        p->kernels->lists.weighted_sum(values, ld, keys, weights, n, dim, sum);
        return;
    }
    for (int64_t i = 0; i < n; i += p->tile_keys) {
        int32_t local[FOV_MAX_TILE_KEYS];
        int part = (int)(n - i < p->tile_keys ? n - i : p->tile_keys);
        for (int k = 0; k < part; k++) {
            local[k] = k;
            fov_read_value(t, keys[i + k], (char *)t->value_rows + k * dim * real);
        }
        p->kernels->lists.weighted_sum(t->value_rows, dim, local, weights + i * real, part, dim, sum);
    }
}

/* The weights of a row where they were asked for: zeros first, then those of the list. */
static void write_weights(fov_task *t, fov_query_block *q, int row, char *at)
{
    const fov_plan *p = t->plan;
    int64_t step = p->args->weights.column_bytes;
    fov_zero_row(p, at, p->args->kv_len, step);
    for (int64_t i = 0; i < q->lists.n[row]; i++)
        p->moves->row_out(values_of(t, q, row) + i * p->kernels->real_bytes, 1, at + keys_of(q, row)[i] * step, step);
}

static void add_totals(fov_task *t, fov_query_block *q, int row)
{
    const fov_plan *p = t->plan;
    double *totals = t->totals + (q->row + row) % p->group_size * p->args->kv_len;
    int32_t *keys = keys_of(q, row);
    for (int64_t i = 0; i < q->lists.n[row]; i++) {
        double w = t->list_row[i], *total = &totals[keys[i]];
        if (p->args->key_stats_kind == FOV_KEY_STATS_SUM) *total += w;
        else if (w > *total || w != w) *total = w;
    }
}

static void product_row(fov_task *t, fov_query_block *q, int row, char *out)
{
    const fov_attention_args *a = t->plan->args;
    const int32_t *keys = keys_of(q, row);
    for (int64_t key = 0, i = 0; key < a->kv_len; key++, out += a->output_key_bytes)
        if (i < q->lists.n[row] && keys[i] == key)
            fov_scale_row(t, key, values_of(t, q, row) + i++ * t->plan->kernels->real_bytes, out);
        else fov_zero_row(t->plan, out, a->value_dim, a->output.column_bytes);
}

/* The rare row that is NaN: every key that it attends, and only the last pass over the keys knows which those are. */
static void spread_nan(fov_task *t, fov_query_block *q, const char *is_nan, const char **weights, const char **output)
{
    const fov_plan *p = t->plan;
    const fov_attention_args *a = p->args;
    static const double wide = NAN;
    double nan; /* a real */
    p->kernels->moves[FOV_F64].row_in((const char *)&wide, 0, 1, &nan);
    for (int64_t key = 0; key < a->kv_len; key += p->tile_keys) {
        int n = (int)(a->kv_len - key < p->tile_keys ? a->kv_len - key : p->tile_keys);
        fov_key_block(t, key, n);
        if (fov_compute_logits(t, q, key, n) == FOV_DEAD) continue;
        p->kernels->modify.differ(&q->block, -(double)INFINITY, t->attend);
        for (int row = 0; row < q->block.n_rows; row++)
            for (int k = 0; is_nan[row] && k < n; k++) {
                if (!fov_attends(t, q, row, k)) continue;
                if (t->weights)
                    p->moves->row_out(&nan, 1, (char *)weights[row] + (key + k) * a->weights.column_bytes,
                                      a->weights.column_bytes);
                if (t->totals) t->totals[(q->row + row) % p->group_size * a->kv_len + key + k] = NAN;
                if (p->product && t->output)
                    fov_scale_row(t, key + k, &nan, (char *)output[row] + (key + k) * a->output_key_bytes);
            }
    }
}

void fov_finish_lists(fov_task *t, fov_query_block *q)
{
    const fov_plan *p = t->plan;
    const fov_attention_args *a = p->args;
    const char *weights[FOV_MAX_LANES], *output[FOV_MAX_LANES];
    char is_nan[FOV_MAX_LANES];
    int sparse = (a->stages & FOV_STAGE_ACTIVATION) && p->activation->solve, some_nan = 0;
    int combines = (a->stages & FOV_STAGE_COMBINE) && t->output;
    if (t->weights) fov_row_pointers(t, q, t->weights, &a->weights, weights);
    if (combines) fov_row_pointers(t, q, t->output, &a->output, output);
    for (int row = 0; row < q->block.n_rows; row++) {
        is_nan[row] = !solve(t, q, row);
        if (is_nan[row]) q->lists.n[row] = 0, some_nan = 1;
        if (sparse && t->weights) write_weights(t, q, row, (char *)weights[row]);
        if (sparse && t->totals) add_totals(t, q, row);
        if (combines && p->product) product_row(t, q, row, (char *)output[row]);
        if (!combines || p->product) continue;
        if (p->select && !is_nan[row]) select_row(t, q, row);
        sum_row(t, q, row, is_nan[row]);
        p->moves->row_out(q->block.accumulators, a->value_dim, (char *)output[row], a->output.column_bytes);
    }
    if (sparse && some_nan && (t->weights || t->totals || p->product)) spread_nan(t, q, is_nan, weights, output);
}
