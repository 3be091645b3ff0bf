/* What leaves a query block: output rows, lse, and, where asked for, the weights or logits themselves. */
#include <stddef.h>
#include <string.h>

#include "attention/task.h"

static void write_lse(fov_task *t, fov_query_block *q, const double *sinks)
{
    const fov_array *array = &t->plan->args->lse;
    const char *rows[FOV_MAX_LANES];
    double lse[FOV_MAX_LANES];
    t->plan->activation->lse(&q->block, sinks, lse);
    fov_row_pointers(t, q, t->lse, array, rows);
    for (int i = 0; i < q->block.n_rows; i++) {
        float narrow = (float)lse[i];
        if (array->dtype == FOV_F64) memcpy((char *)rows[i], &lse[i], sizeof lse[i]);
        else memcpy((char *)rows[i], &narrow, sizeof narrow);
    }
}

void fov_write_output(fov_task *t, fov_query_block *q)
{
    const fov_plan *p = t->plan;
    const fov_array *array = &p->args->output;
    if (p->args->stages & FOV_STAGE_ACTIVATION) {
        double sinks[FOV_MAX_LANES];
        for (int i = 0; p->args->sinks && i < q->block.n_rows; i++)
            sinks[i] = p->args->sinks[t->q_head + (q->row + i) % p->group_size];
        p->activation->finish(&q->block, p->args->sinks ? sinks : NULL);
        if (t->lse) write_lse(t, q, p->args->sinks ? sinks : NULL);
    }
    if (!t->output || !(p->args->stages & FOV_STAGE_COMBINE)) return;
    if (p->args->stages & FOV_STAGE_ACTIVATION) p->accumulate->rescale(&q->block);
    const char *rows[FOV_MAX_LANES];
    fov_row_pointers(t, q, t->output, array, rows);
    if (!p->few_rows) {
        p->moves->scatter(q->block.accumulators, p->args->value_dim, q->block.n_lanes, (char *const *)rows, array->column_bytes);
        return;
    }
    for (int i = 0; i < q->block.n_rows; i++)
        p->moves->row_out((char *)q->block.accumulators + i * p->args->value_dim * p->kernels->real_bytes, p->args->value_dim,
                          (char *)rows[i], array->column_bytes);
}

/* A second pass over all keys of the block: the final weights need the finished row state, and Lq x Lk is the caller's memory. */
void fov_write_matrix(fov_task *t, fov_query_block *q)
{
    const fov_plan *p = t->plan;
    int scores = p->args->stages == FOV_STAGE_SCORE;
    const fov_array *array = scores ? &p->args->logits : &p->args->weights;
    char *base = scores ? t->logits : t->weights;
    for (int64_t key = 0; key < p->args->kv_len; key += p->tile_keys) {
        int n = (int)(p->args->kv_len - key < p->tile_keys ? p->args->kv_len - key : p->tile_keys);
        fov_key_block(t, key, n);
        if (fov_compute_logits(t, q, key, n) == FOV_DEAD)
            memset(t->tile, 0, (size_t)q->block.n_steps * (size_t)q->block.n_lanes * (size_t)p->kernels->real_bytes);
        else if (!scores) p->activation->weights(&q->block);
        else if (q->block.multiplier != 1) p->kernels->modify.scale(&q->block);
        fov_scatter_tile(t, q, base, array, key);
    }
}
