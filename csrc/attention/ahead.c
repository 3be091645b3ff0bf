/* Which rows a query block asks for while it computes, so that they lie in L2 when their turn comes. */
#include "attention/task.h"

static void ask_for(fov_task *t, fov_block *b, int i, const char *rows, const fov_array *array, int64_t first)
{
    b->ahead_bytes[i] = rows ? array->row_bytes : 0;
    b->ahead_step[i] = 0;
    b->ahead[i] = rows ? rows + first * array->row_bytes : (const char *)t->tile;
}

/* A quarter of the keys and values of the next tile; a narrow block is the last of its task and asks for the quarters of absent ones. */
static void ask_for_tile(fov_task *t, fov_query_block *q, int part, int64_t first)
{
    const fov_attention_args *a = t->plan->args;
    int64_t n = t->plan->tile_keys / FOV_MAX_BLOCKS;
    first = first + (part + 1) * n > t->chunk_last ? t->keys_at : first + part * n;
    ask_for(t, &q->block, 0, t->key, &a->key, first);
    ask_for(t, &q->block, 1, t->value, &a->value, first);
    if (first + t->plan->tile_keys > t->chunk_last) return;
    if (t->key) q->block.ahead_step[0] = n * a->key.row_bytes;
    if (t->value) q->block.ahead_step[1] = n * a->value.row_bytes;
}

/* As many rows of the output as there are requests: stores to lines that are not there take 1.5 % of a prefill. */
static void ask_for_output(fov_task *t, fov_query_block *q)
{
    const fov_plan *p = t->plan;
    const fov_array *output = &p->args->output;
    const char *rows = p->sums && p->n_chunks == 1 && p->group_size == 1 ? t->output : NULL;
    int64_t n = p->tile_keys / FOV_MAX_BLOCKS, left = q->block.n_rows - n;
    ask_for(t, &q->block, 0, rows, output, q->row);
    ask_for(t, &q->block, 1, rows, output, q->row + (left < 0 ? 0 : left < n ? left : n));
}

/* The part of a mask or bias that the block needs for the next tile: a line or few in each of its rows, which no prefetcher of the
 * processor finds. Waiting for them took a fifth of a masked prefill. */
static void ask_for_matrix(const fov_task *t, const fov_query_block *q, const char *base, const fov_array *array, int64_t key)
{
    enum { LINE = 64 };
    int64_t n_bytes = t->plan->tile_keys * array->column_bytes;
    const char *rows[FOV_MAX_LANES];
    if (array->column_bytes <= 0 || array->column_bytes > (int64_t)sizeof(double)) return;
    fov_row_pointers(t, q, base + key * array->column_bytes, array, rows);
    for (int i = 0; i < q->block.n_rows; i++) {
        if (i && rows[i] == rows[i - 1]) continue;
        for (int64_t at = 0; at < n_bytes; at += LINE) __builtin_prefetch(rows[i] + at, 0, 2);
    }
}

void fov_ask_ahead(fov_task *t, fov_query_block *q, int part, int64_t next_key)
{
    if (t->plan->few_rows) return; /* their rows stream, and kernels ask for them row by row */
    if (next_key < 0) {
        ask_for_output(t, q);
        return;
    }
    ask_for_tile(t, q, part, next_key);
    if (t->mask && !fov_ask_for_kept_mask(t, q, next_key)) ask_for_matrix(t, q, t->mask, &t->plan->args->mask, next_key);
    if (t->bias) ask_for_matrix(t, q, t->bias, &t->plan->args->bias, next_key);
}
