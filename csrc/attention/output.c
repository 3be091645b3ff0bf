/* What leaves a query block: output rows, lse, and, where asked for, the weights or logits themselves. */
#include <math.h>
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

/* n zeros of the storage type; all of them are zero bytes. */
void fov_zero_row(const fov_plan *p, char *at, int64_t n, int64_t step)
{
    static const int bytes_of[FOV_N_DTYPES] = {[FOV_F32] = 4, [FOV_F64] = 8, [FOV_F16] = 2, [FOV_BF16] = 2};
    int bytes = bytes_of[p->args->dtype];
    if (step == bytes) memset(at, 0, (size_t)(n * bytes));
    else
        for (int64_t i = 0; i < n; i++) memset(at + i * step, 0, (size_t)bytes);
}

/* output row = weight * the value of a key */
void fov_scale_row(const fov_task *t, int64_t key, const void *weight, char *out)
{
    const fov_plan *p = t->plan;
    void *products = t->blocks[0].block.accumulators;
    int64_t ld;
    const char *row = fov_values(t, &ld);
    if (row) {
        row += key * p->args->value.row_bytes;
    } else {
        fov_read_value(t, key, t->value_rows);
        row = t->value_rows;
    }
    p->kernels->lists.scaled(row, weight, p->args->value_dim, products);
    p->moves->row_out(products, p->args->value_dim, out, p->args->output.column_bytes);
}

/* One more logit per row: the caller's sinks, or the 0 of softmax1. */
static const double *sinks_of(const fov_task *t, const fov_query_block *q, double *sinks)
{
    const fov_plan *p = t->plan;
    if (!p->args->sinks && !p->activation->extra_logit) return NULL;
    for (int i = 0; i < q->block.n_rows; i++)
        sinks[i] = p->args->sinks ? p->args->sinks[t->q_head + (q->row + i) % p->group_size] : 0;
    return sinks;
}

/* 1: rows have a factor that their sums wait for. */
static int finish_rows(fov_task *t, fov_query_block *q, int writes_lse)
{
    const fov_plan *p = t->plan;
    if (!(p->args->stages & FOV_STAGE_ACTIVATION) || !p->activation->finish) return 0;
    double room[FOV_MAX_LANES];
    const double *sinks = sinks_of(t, q, room);
    p->activation->finish(&q->block, sinks);
    if (writes_lse) write_lse(t, q, sinks);
    return 1;
}

static int in_range(const fov_plan *p, const fov_block *b)
{
    int64_t n_rows = p->few_rows ? b->n_rows : p->args->value_dim, n_columns = p->few_rows ? p->args->value_dim : b->n_lanes;
    return p->kernels->all_finite(b->accumulators, n_columns, n_rows, n_columns);
}

int fov_write_output(fov_task *t, fov_query_block *q)
{
    const fov_plan *p = t->plan;
    const fov_array *array = &p->args->output;
    int finishes = finish_rows(t, q, t->lse != NULL);
    if (!t->output || !p->sums) return 1;
    int finite = finishes ? p->accumulate->rescale(&q->block) : in_range(p, &q->block);
    const char *rows[FOV_MAX_LANES];
    fov_row_pointers(t, q, t->output, array, rows);
    if (!p->few_rows) {
        p->moves->scatter(q->block.accumulators, p->args->value_dim, q->block.n_lanes, (char *const *)rows, array->column_bytes);
        return finite;
    }
    for (int i = 0; i < q->block.n_rows; i++)
        p->moves->row_out((char *)q->block.accumulators + i * p->args->value_dim * p->kernels->real_bytes, p->args->value_dim,
                          (char *)rows[i], array->column_bytes);
    return finite;
}

/* The elements of the output that are not finite, from sums of smaller values. */
void fov_replace_overflowed(fov_task *t, fov_query_block *q)
{
    const fov_plan *p = t->plan;
    const fov_array *array = &p->args->output;
    const fov_block *b = &q->block;
    int64_t real = p->kernels->real_bytes, n_columns = p->args->value_dim;
    int64_t row_step = p->few_rows ? n_columns : 1, column_step = p->few_rows ? 1 : b->n_lanes;
    const char *rows[FOV_MAX_LANES];
    if (finish_rows(t, q, 0)) p->accumulate->rescale(&q->block);
    fov_row_pointers(t, q, t->output, array, rows);
    for (int i = 0; i < b->n_rows; i++)
        for (int64_t c = 0; c < n_columns; c++) {
            char *at = (char *)rows[i] + c * array->column_bytes;
            const char *sum = (const char *)b->accumulators + (i * row_step + c * column_step) * real;
            double wide, old; /* room for a real of either type */
            float narrow;
            p->moves->row_in(at, 0, 1, &old);
            if (p->kernels->all_finite(&old, 1, 1, 1)) continue;
            if (real == 8) {
                memcpy(&wide, sum, sizeof wide);
                wide = ldexp(wide, t->value_halvings);
                p->moves->row_out(&wide, 1, at, 0);
            } else {
                memcpy(&narrow, sum, sizeof narrow);
                narrow = ldexpf(narrow, t->value_halvings);
                p->moves->row_out(&narrow, 1, at, 0);
            }
        }
}
