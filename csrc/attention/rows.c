/* Rows of keys and values as contiguous reals: where they lie, or in the scratch of the task. */
#include <math.h>
#include <string.h>

#include "attention/task.h"

void fov_key_block(fov_task *t, int64_t key, int64_t n)
{
    t->keys_at = key;
    t->n_keys_at = n;
    t->key_ready = t->key_tiles_ready = t->value_ready = t->value_tiles_ready = 0;
    t->value_finite = -1;
}

/* The keys, or the values, of a task. */
typedef struct {
    const char *base, *scales;
    const fov_array *array, *scale;
    const fov_row_layout *layout;
    int64_t n_columns;
} rows;

static inline rows keys_of(const fov_task *t)
{
    const fov_attention_args *a = t->plan->args;
    return (rows){t->key, t->k_scale, &a->key, &a->k_scale, &t->plan->keys, t->plan->key_dim};
}

static inline rows values_of(const fov_task *t)
{
    const fov_attention_args *a = t->plan->args;
    return (rows){t->value, t->v_scale, &a->value, &a->v_scale, &t->plan->values, a->value_dim};
}

/* 1: a kernel can read them where they are. */
static inline int lie_as_reals(const fov_task *t, const rows *r, int64_t *ld)
{
    *ld = r->layout->ld;
    return r->layout->are_reals && ((uintptr_t)r->base & (uintptr_t)(t->plan->kernels->real_bytes - 1)) == 0;
}

static void read_quantized_rows(const fov_task *t, const rows *r, int64_t key, int64_t n, char *reals)
{
    int64_t real_row = r->n_columns * t->plan->kernels->real_bytes;
    float scale = 1;
    for (; n > 0; n--, key++, reals += real_row) {
        if (r->scales) memcpy(&scale, r->scales + key * r->scale->row_bytes, sizeof scale); /* may be misaligned */
        t->plan->quantized_in(r->base + key * r->array->row_bytes, r->array->column_bytes, r->n_columns, scale, reals);
    }
}

/* n rows from `key` on */
static void copy_rows(const fov_task *t, const rows *r, int64_t key, int64_t n, void *reals)
{
    const char *row = r->base + key * r->array->row_bytes;
    if (t->plan->quantized_in) read_quantized_rows(t, r, key, n, reals);
    else t->plan->moves->rows_in(row, r->array->row_bytes, r->array->column_bytes, n, r->n_columns, reals);
}

static __attribute__((noinline)) const char *copy_block(const fov_task *t, const rows *r, void *scratch, int64_t *ld)
{
    *ld = r->n_columns;
    copy_rows(t, r, t->keys_at, t->n_keys_at, scratch);
    return scratch;
}

/* Where they lie, unless their stride fights the cache (80 % of the FMA peak becomes 54 % at head_dim 64; the copy brings 73 %, itself
 * included). A single query block would not earn the copy back. */
static inline const char *block_of(const fov_task *t, const rows *r, void *scratch, int64_t *ld)
{
    if (lie_as_reals(t, r, ld) && !(r->layout->fights_cache && t->n_blocks > 1))
        return r->base + t->keys_at * r->array->row_bytes;
    return copy_block(t, r, scratch, ld);
}

/* The only query block of a task reads keys that are not reals once, and in 8 KiB they stay in L1: 0.47 instead of 1.28 ns per vector. */
int fov_keys_per_piece(const fov_task *t)
{
    enum { BYTES = 8192, TOGETHER = 8 /* keys that the kernel takes at a time */ };
    const fov_plan *p = t->plan;
    const rows keys = keys_of(t);
    int64_t ld;
    if (t->n_blocks > 1 || t->key_ready || p->score->encode || p->args->score_w_k.data || lie_as_reals(t, &keys, &ld)) return 0;
    const int64_t row = keys.n_columns * p->kernels->real_bytes;
    return row * TOGETHER >= BYTES ? TOGETHER : (int)(BYTES / (row > 0 ? row : 1)) / TOGETHER * TOGETHER;
}

void fov_read_keys(const fov_task *t, int64_t key, int n, void *reals)
{
    const rows keys = keys_of(t);
    copy_rows(t, &keys, key, n, reals);
}

void fov_need_key(fov_task *t)
{
    const fov_plan *p = t->plan;
    if (t->key_ready) return;
    const rows keys = keys_of(t);
    t->key_block = block_of(t, &keys, t->key_rows, &t->key_ld);
    if (p->score->encode || p->args->score_w_k.data) fov_encode_keys(t);
    t->key_ready = 1;
}

static fov_stored stored(const fov_task *t, const rows *r, int64_t key)
{
    return (fov_stored){.dtype = t->plan->stored_type,
                        .rows = r->base + key * r->array->row_bytes,
                        .row_bytes = r->array->row_bytes,
                        .scales = r->scales ? r->scales + key * r->scale->row_bytes : NULL,
                        .scale_bytes = r->scale->row_bytes};
}

fov_stored fov_stored_keys(const fov_task *t, int64_t key)
{
    const rows keys = keys_of(t);
    return stored(t, &keys, key);
}

fov_stored fov_stored_values(const fov_task *t, int64_t key)
{
    const rows values = values_of(t);
    return stored(t, &values, key);
}

static void make_smaller(fov_task *t)
{
    const fov_plan *p = t->plan;
    int64_t n = p->args->value_dim, real = p->kernels->real_bytes;
    double wide = ldexp(1, -t->value_halvings);
    float narrow = (float)wide;
    for (int64_t k = 0; k < t->n_keys_at; k++)
        p->kernels->lists.scaled(t->value_block + k * t->value_ld * real, real == 8 ? (void *)&wide : (void *)&narrow, n,
                                 (char *)t->value_rows + k * n * real);
    t->value_block = t->value_rows;
    t->value_ld = n;
}

void fov_need_value(fov_task *t)
{
    if (t->value_ready) return;
    const rows values = values_of(t);
    t->value_block = block_of(t, &values, t->value_rows, &t->value_ld);
    if (t->value_halvings) make_smaller(t);
    t->value_ready = 1;
}

const char *fov_values(const fov_task *t, int64_t *ld)
{
    const rows values = values_of(t);
    return lie_as_reals(t, &values, ld) ? values.base : NULL;
}

void fov_read_value(const fov_task *t, int64_t key, void *reals)
{
    const rows values = values_of(t);
    copy_rows(t, &values, key, 1, reals);
}
