/* Rows of queries and keys on their way to a score that does not read them as they are: projected by its weights, then encoded. */
#include <string.h>

#include "attention/task.h"

static const void *parameter(const fov_task *t, const fov_parameter *p)
{
    return p->data ? (const char *)p->data + t->q_head * p->head_elements * t->plan->kernels->real_bytes : NULL;
}

/* rows [n][dim] times w [dim][score_dim]: the weighted sum of few rows with the elements of a row as weights. A "row" of that
 * kernel's tile has key_lanes lanes, here the distance of two rows. */
static const void *project(const fov_task *t, const void *rows, int64_t *ld, int64_t n, int64_t dim, const fov_parameter *w)
{
    const fov_plan *p = t->plan;
    if (!w->data) return rows;
    memset(t->projected, 0, (size_t)(n * p->score_dim * p->kernels->real_bytes));
    fov_block b = {.value = parameter(t, w), .value_ld = w->row_elements, .value_dim = p->score_dim, .n_keys = (int)dim};
    int together = *ld >= dim && *ld <= INT32_MAX; /* else rows overlap: one by one */
    b.n_rows = together ? (int)n : 1;
    b.key_lanes = together && *ld > 0 ? (int)*ld : dim > 0 ? (int)dim : 1;
    for (int64_t row = 0; row < n; row += b.n_rows) {
        b.tile = (char *)rows + row * *ld * p->kernels->real_bytes;
        b.accumulators = (char *)t->projected + row * p->score_dim * p->kernels->real_bytes;
        p->kernels->combine[FOV_COMBINE_INDEX_weighted_sum].rows.tile(&b);
    }
    *ld = p->score_dim;
    return t->projected;
}

/* contiguous reals [n_rows][score_dim] -> the query area of a block */
static void place(const fov_task *t, const fov_query_block *q, const void *rows, int64_t ld, const void *area)
{
    const fov_plan *p = t->plan;
    int64_t real = p->kernels->real_bytes;
    const char *lanes[FOV_MAX_LANES];
    if (p->few_rows) {
        for (int i = 0; i < q->block.n_rows; i++)
            memcpy((char *)area + i * p->score_dim * real, (const char *)rows + i * ld * real, (size_t)(p->score_dim * real));
        return;
    }
    for (int i = 0; i < q->block.n_lanes; i++) lanes[i] = i < q->block.n_rows ? (const char *)rows + i * ld * real : NULL;
    p->kernels->moves[real == 8 ? FOV_F64 : FOV_F32].gather(lanes, real, p->score_dim, q->block.n_lanes, (void *)area);
}

static void fill_ones(fov_task *t, fov_query_block *q)
{
    const fov_plan *p = t->plan;
    static const double one = 1;
    q->block.score_v = parameter(t, &p->args->score_v);
    if (!p->ones_bytes) return;
    p->kernels->moves[FOV_F64].row_in((const char *)&one, 0, p->score_dim, t->ones);
    q->block.score_v = t->ones;
}

void fov_read_query(fov_task *t, fov_query_block *q)
{
    const fov_plan *p = t->plan;
    const fov_array *array = &p->args->query;
    int64_t head_dim = p->args->head_dim, real = p->kernels->real_bytes, ld = head_dim;
    const char *rows[FOV_MAX_LANES];
    if (!(p->args->stages & FOV_STAGE_SCORE)) return;
    if (p->few_rows && p->max_rows < p->max_lanes / p->key_lanes) { /* rows that pad to 4 or 8 */
        memset((void *)q->block.query, 0, p->query_bytes);
        if (p->code_bytes) memset((void *)q->block.query_code, 0, p->code_bytes);
    }
    fov_row_pointers(t, q, t->query, array, rows);
    if (!p->rows_bytes) {
        if (!p->few_rows) p->moves->gather(rows, array->column_bytes, head_dim, q->block.n_lanes, (void *)q->block.query);
        for (int i = 0; p->few_rows && i < q->block.n_rows; i++)
            p->moves->row_in(rows[i], array->column_bytes, head_dim, (char *)q->block.query + i * head_dim * real);
        q->has_not_finite = p->tile_scores && p->splits && !p->tiles->split_query(&q->block, (void *)q->block.query_tiles);
        if (p->tile_scores && !p->splits)
            (p->tile_rows ? p->tiles->pack_query_rows : p->tiles->pack_query)(&q->block, (void *)q->block.query_tiles);
        return;
    }
    for (int i = 0; i < q->block.n_rows; i++)
        p->moves->row_in(rows[i], array->column_bytes, head_dim, (char *)t->rows + i * head_dim * real);
    const void *x = project(t, t->rows, &ld, q->block.n_rows, head_dim, &p->args->score_w_q);
    if (p->score->encode) {
        p->score->encode(x, ld, q->block.n_rows, p->score_dim, t->coded, (void *)q->block.query_reach);
        if (!p->score->code_replaces) place(t, q, t->coded, p->score_dim, q->block.query_code);
    }
    if (p->score->code_replaces) place(t, q, t->coded, p->score_dim, q->block.query);
    else place(t, q, x, ld, q->block.query);
    fill_ones(t, q);
}

void fov_encode_keys(fov_task *t)
{
    const fov_plan *p = t->plan;
    t->key_block = project(t, t->key_block, &t->key_ld, t->n_keys_at, p->key_dim, &p->args->score_w_k);
    if (!p->score->encode) return;
    p->score->encode(t->key_block, t->key_ld, t->n_keys_at, p->score_dim, t->coded, t->reach);
    if (!p->score->code_replaces) return;
    t->key_block = t->coded;
    t->key_ld = p->score_dim;
}

/* The block of keys at hand, from `key` on. */
void fov_point_at_keys(const fov_task *t, fov_query_block *q, int64_t key)
{
    int64_t real = t->plan->kernels->real_bytes, skipped = key - t->keys_at;
    q->block.key = t->key_block + skipped * t->key_ld * real;
    q->block.key_ld = t->key_ld;
    if (!t->plan->coded_bytes) return;
    q->block.key_code = (const char *)t->coded + skipped * t->plan->score_dim * real;
    q->block.key_reach = (const char *)t->reach + skipped * real;
}
