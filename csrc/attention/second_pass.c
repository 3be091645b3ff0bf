/* A second pass over all keys of a query block, where the final weights themselves are wanted: weights and logits as a matrix, the
 * products of gating, totals per key. It needs the finished state of the rows; Lq x Lk is the caller's memory. */
#include <math.h>
#include <string.h>

#include "attention/task.h"

/* t->attend has the bits of the weights that count; the others leave zeros, whatever their values are. */
static void write_products(fov_task *t, fov_query_block *q, int64_t key)
{
    const fov_plan *p = t->plan;
    const fov_attention_args *a = p->args;
    const fov_block *b = &q->block;
    const char *rows[FOV_MAX_LANES];
    fov_row_pointers(t, q, t->output, &a->output, rows);
    for (int row = 0; row < b->n_rows; row++)
        for (int k = 0; k < b->n_keys; k++) {
            int64_t at = (int64_t)(k / b->key_lanes) * b->n_lanes + row * b->key_lanes + k % b->key_lanes;
            char *out = (char *)rows[row] + (key + k) * a->output_key_bytes;
            if (fov_attends(t, q, row, k)) fov_scale_row(t, key + k, (char *)b->tile + at * p->kernels->real_bytes, out);
            else fov_zero_row(p, out, a->value_dim, a->output.column_bytes);
        }
}

static void add_totals(fov_task *t, fov_query_block *q, int64_t key)
{
    const fov_plan *p = t->plan;
    p->kernels->modify.totals(&q->block, (int)q->head, (int)p->group_size, p->args->key_stats_kind == FOV_KEY_STATS_MAX,
                              t->totals + key, p->args->kv_len);
}

void fov_run_second_pass(fov_task *t, fov_query_block *q)
{
    const fov_plan *p = t->plan;
    const fov_attention_args *a = p->args;
    int scores = a->stages == FOV_STAGE_SCORE, product = p->product && t->output;
    const fov_array *matrix = scores ? &a->logits : &a->weights;
    char *base = scores ? t->logits : a->stages == FOV_STAGE_COMBINE ? NULL : t->weights;
    for (int64_t key = 0; key < a->kv_len && !(a->cancel && *a->cancel); key += p->tile_keys) {
        int n = (int)(a->kv_len - key < p->tile_keys ? a->kv_len - key : p->tile_keys);
        fov_key_block(t, key, n);
        if (fov_compute_logits(t, q, key, n) == FOV_DEAD) {
            memset(t->tile, 0, (size_t)q->block.n_steps * (size_t)q->block.n_lanes * (size_t)p->kernels->real_bytes);
            if (product) memset(t->attend, 0, sizeof t->attend);
        } else if (scores) {
            if (q->block.multiplier != 1) p->kernels->modify.scale(&q->block);
        } else {
            if (product) p->kernels->modify.differ(&q->block, a->stages == FOV_STAGE_COMBINE ? 0 : -(double)INFINITY, t->attend);
            if (a->stages & FOV_STAGE_ACTIVATION) p->activation->weights(&q->block);
        }
        if (base) fov_scatter_tile(t, q, base, matrix, key);
        if (t->totals) add_totals(t, q, key);
        if (product) write_products(t, q, key);
    }
}
