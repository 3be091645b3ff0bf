/* Where a task's arrays begin, and tiles of its matrices. */
#include "attention/task.h"

#include <string.h>

static int64_t batch_offset(const fov_attention_args *a, const int64_t *strides, int64_t batch)
{
    int64_t at = 0;
    for (int i = a->n_batch_axes - 1; i >= 0; i--) {
        at += batch % a->batch_shape[i] * strides[i];
        batch /= a->batch_shape[i];
    }
    return at;
}

static char *begin(const fov_attention_args *a, const fov_array *array, int64_t batch, int64_t head)
{
    if (!array->data) return NULL;
    return (char *)array->data + (a->n_batch_axes ? batch_offset(a, array->batch_bytes, batch) : 0) + head * array->head_bytes;
}

static int64_t per_batch(const fov_attention_args *a, const fov_per_batch *values, int64_t batch)
{
    if (!values->data) return values->value;
    int64_t x; /* may be misaligned */
    memcpy(&x, (const char *)values->data + (a->n_batch_axes ? batch_offset(a, values->batch_bytes, batch) : 0), sizeof x);
    return x;
}

void fov_task_slice(fov_task *t, int64_t slice)
{
    const fov_attention_args *a = t->plan->args;
    const fov_plan *p = t->plan;
    int64_t batch = slice < p->slice_heads ? 0 : slice / p->slice_heads;
    t->slice = slice;
    t->q_head = (slice - batch * p->slice_heads) * p->group_size;
    int64_t head = p->kv_group_size == 1 ? t->q_head : t->q_head / p->kv_group_size;
    t->key = begin(a, &a->key, batch, head);
    t->value = begin(a, &a->value, batch, head);
    if (p->quantized_in) {
        t->k_scale = begin(a, &a->k_scale, batch, head);
        t->v_scale = begin(a, &a->v_scale, batch, head);
    }
    t->query = begin(a, &a->query, batch, t->q_head);
    t->mask = begin(a, &a->mask, batch, t->q_head);
    t->bias = begin(a, &a->bias, batch, t->q_head);
    t->output = begin(a, &a->output, batch, t->q_head);
    t->lse = begin(a, &a->lse, batch, t->q_head);
    t->weights = begin(a, &a->weights, batch, t->q_head);
    t->logits = begin(a, &a->logits, batch, t->q_head);
    t->kv_length = per_batch(a, &a->kv_lengths, batch);
    if (t->kv_length > a->kv_len) t->kv_length = a->kv_len;
    if (t->kv_length < 0) t->kv_length = 0;
    t->q_offset = per_batch(a, &a->q_offset, batch);
    t->key_stats = begin(a, &a->key_stats, batch, t->q_head);
    t->keys_at = -1;
}

/* One pointer per row of an array with the axes (head, row, column); NULL behind the last, up to the lanes of the block. */
void fov_row_pointers(const fov_task *t, const fov_query_block *q, const char *base, const fov_array *array, const char **rows)
{
    int64_t group = t->plan->group_size, head = q->head;
    const char *row = base + q->position * array->row_bytes;
    int i = 0, n = q->block.n_lanes / q->block.key_lanes;
    if (group == 1) /* twice for every tile with a mask */
        for (; i < q->block.n_rows; i++, row += array->row_bytes) rows[i] = row;
    for (; i < q->block.n_rows; i++) {
        rows[i] = row + head * array->head_bytes;
        if (++head == group) head = 0, row += array->row_bytes;
    }
    for (; i < n; i++) rows[i] = NULL;
}

/* One pointer per lane, at its first key of `n_keys` keys from `key` on; NULL for lanes that have none. */
static void lane_pointers(const fov_task *t, const fov_query_block *q, const char *base, const fov_array *array, int64_t key,
                          int n_keys, const char **lanes)
{
    const char *rows[FOV_MAX_LANES];
    int key_lanes = q->block.key_lanes;
    if (key_lanes == 1) {
        fov_row_pointers(t, q, base + key * array->column_bytes, array, lanes);
        return;
    }
    fov_row_pointers(t, q, base, array, rows);
    for (int i = 0; i < q->block.n_lanes; i++) {
        const char *row = rows[i / key_lanes];
        int k = i % key_lanes;
        lanes[i] = row && k < n_keys ? row + (key + k) * array->column_bytes : NULL;
    }
}

/* A tile is read and written in two parts: the whole steps, and the last step where it has fewer keys than lanes per row. */
static void read_tile(const fov_task *t, const fov_query_block *q, const char *base, const fov_array *array, int64_t key,
                      void *tile, int adds)
{
    const fov_block *b = &q->block;
    const fov_moves *moves = &t->plan->kernels->moves[array->dtype];
    const char *lanes[FOV_MAX_LANES];
    int whole = b->n_keys / b->key_lanes, n_keys[2] = {b->key_lanes, b->n_keys % b->key_lanes}, n_steps[2] = {whole, 1};
    int64_t step = array->column_bytes * b->key_lanes, tile_step = b->n_lanes * t->plan->kernels->real_bytes;
    for (int rest = whole == 0; rest < 2 && n_keys[rest]; rest++) {
        char *to = (char *)tile + (rest ? whole * tile_step : 0);
        lane_pointers(t, q, base, array, key + (rest ? (int64_t)whole * b->key_lanes : 0), n_keys[rest], lanes);
        if (adds) moves->gather_add(lanes, step, n_steps[rest], b->n_lanes, b->multiplier, to);
        else moves->gather(lanes, step, n_steps[rest], b->n_lanes, to);
    }
}

void fov_gather_tile(const fov_task *t, const fov_query_block *q, const char *base, const fov_array *array, int64_t key,
                     void *tile)
{
    read_tile(t, q, base, array, key, tile, 0);
}

void fov_gather_add_tile(const fov_task *t, const fov_query_block *q, const char *base, const fov_array *array, int64_t key)
{
    read_tile(t, q, base, array, key, q->block.tile, 1);
}

void fov_scatter_tile(const fov_task *t, const fov_query_block *q, char *base, const fov_array *array, int64_t key)
{
    const fov_block *b = &q->block;
    const char *lanes[FOV_MAX_LANES];
    int whole = b->n_keys / b->key_lanes, rest = b->n_keys % b->key_lanes;
    int64_t step = array->column_bytes * b->key_lanes;
    if (whole) {
        lane_pointers(t, q, base, array, key, b->key_lanes, lanes);
        t->plan->moves->scatter(b->tile, whole, b->n_lanes, (char *const *)lanes, step);
    }
    if (rest) {
        lane_pointers(t, q, base, array, key + (int64_t)whole * b->key_lanes, rest, lanes);
        t->plan->moves->scatter((char *)b->tile + (int64_t)whole * b->n_lanes * t->plan->kernels->real_bytes, 1, b->n_lanes,
                                (char *const *)lanes, step);
    }
}
