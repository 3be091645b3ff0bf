/* Keys and values as tile registers load them: bf16 where it lies or copied, other numbers split into planes of bf16. */
#include <string.h>

#include "attention/task.h"

/* A row of bf16 as it is, and zeros up to n_whole columns. */
static void copy_halves(const char *row, int64_t step, int64_t n, int64_t n_whole, char *to)
{
    if (step == 2) memcpy(to, row, (size_t)(2 * n));
    else
        for (int64_t i = 0; i < n; i++) memcpy(to + 2 * i, row + i * step, 2);
    memset(to + 2 * n, 0, (size_t)(2 * (n_whole - n)));
}

static void split_keys(fov_task *t)
{
    fov_need_key(t);
    t->key_finite = t->plan->tiles->split_keys(&t->blocks[0].block, t->key_block, t->key_ld, t->n_keys_at, t->key_tiles);
}

static void copy_keys(fov_task *t, const char *first)
{
    const fov_plan *p = t->plan;
    for (int64_t k = 0; k < t->n_keys_at; k++)
        copy_halves(first + k * p->args->key.row_bytes, p->args->key.column_bytes, p->key_dim, p->tile_dim,
                    t->key_tiles + k * t->key_tile_bytes);
}

/* Rows that are not contiguous are copied: with the copy, 2 to 3.5 % of a prefill, it was 2 to 12 % faster than without (prototype). So are
 * the last ones: a query block may begin anywhere in the block of keys, and a tile has FOV_TILE_KEYS rows from there. */
void fov_need_key_tiles(fov_task *t)
{
    const fov_plan *p = t->plan;
    const char *first = t->key + t->keys_at * p->args->key.row_bytes;
    if (t->key_tiles_ready) return;
    t->key_tiles_ready = 1;
    t->key_finite = 1;
    t->key_tile_bytes = 2 * p->n_planes * p->tile_dim;
    t->key_tile_rows = first;
    if (p->tile_keys_in_place && t->keys_at + t->n_keys_at + FOV_TILE_KEYS - 1 <= p->args->kv_len) return;
    if (p->splits) split_keys(t);
    else copy_keys(t, first);
    memset(t->key_tiles + t->n_keys_at * t->key_tile_bytes, 0, (size_t)((FOV_TILE_KEYS - 1) * t->key_tile_bytes));
    t->key_tile_rows = t->key_tiles;
}

static int split_values(fov_task *t)
{
    fov_need_value(t);
    return t->plan->tiles->split_values(&t->blocks[0].block, t->value_block, t->value_ld, t->n_keys_at, t->value_tiles);
}

static int pack_values(fov_task *t)
{
    const fov_array *array = &t->plan->args->value;
    const char *first = t->value + t->keys_at * array->row_bytes;
    int64_t n = t->plan->args->value_dim, row_bytes = array->row_bytes;
    if (array->column_bytes != 2) { /* through the room for reals, which is twice as large */
        char *copy = t->value_rows;
        for (int64_t k = 0; k < t->n_keys_at; k++)
            copy_halves(first + k * row_bytes, array->column_bytes, n, n, copy + k * 2 * n);
        t->value_ready = 0;
        first = copy;
        row_bytes = 2 * n;
    }
    return t->plan->tiles->pack_values(first, row_bytes, t->n_keys_at, n, t->value_tiles);
}

/* Where they lie if they are finite and contiguous; else a copy, zeros for NaN and Inf, which may meet a column beside their own. */
static int find_values(fov_task *t)
{
    const fov_array *array = &t->plan->args->value;
    const char *first = t->value + t->keys_at * array->row_bytes;
    int64_t n = t->plan->args->value_dim;
    t->value_tile_rows = first;
    t->value_tile_bytes = array->row_bytes;
    if (array->column_bytes == 2 && t->plan->tiles->rows_finite(first, array->row_bytes, t->n_keys_at, n)) return 1;
    t->value_tile_rows = t->value_tiles;
    t->value_tile_bytes = 2 * n;
    int finite = 1;
    for (int64_t k = 0; k < t->n_keys_at; k++) {
        uint16_t *to = (uint16_t *)(t->value_tiles + k * 2 * n);
        copy_halves(first + k * array->row_bytes, array->column_bytes, n, n, (char *)to);
        for (int64_t i = 0; i < n; i++)
            if ((to[i] & 0x7f80u) == 0x7f80u) finite = to[i] = 0;
    }
    return finite;
}

fov_stored fov_tile_values(const fov_task *t, int64_t key)
{
    return (fov_stored){.dtype = FOV_BF16,
                        .rows = t->value_tile_rows + (key - t->keys_at) * t->value_tile_bytes,
                        .row_bytes = t->value_tile_bytes};
}

int fov_need_value_tiles(fov_task *t)
{
    if (t->value_tiles_ready) return t->value_finite;
    t->value_finite = t->plan->tile_rows ? find_values(t) : t->plan->splits ? split_values(t) : pack_values(t);
    t->value_tiles_ready = 1;
    return t->value_finite;
}

/* A function of the caller may have used the tile registers for itself, and left them as it likes. */
void fov_use_tiles(const fov_task *t)
{
    if (t->plan->args->modifier || t->plan->args->tile_mask) t->plan->tiles->enter();
}
