/* The bits of a mask that several slices share, as all heads of a batch element do: packed by the slice that comes first, found by the
 * others. Each of 8 heads that read the bytes again spent 4 % of a prefill on it. */
#include <string.h>

#include "attention/task.h"

enum { MOST_BYTES = 1 << 21 }; /* 4096 queries x 4096 keys; of larger masks the first query blocks are kept */
/* Of a tile of a query block; what the bits say of the tile as a whole is added to KNOWN. */
enum { UNKNOWN, CLAIMED /* someone is writing */, KNOWN };

static int differs_by_batch(const fov_attention_args *a)
{
    for (int i = 0; i < a->n_batch_axes; i++)
        if (a->mask.batch_bytes[i]) return 1;
    return 0;
}

void fov_plan_shared_mask(fov_plan *p)
{
    const fov_attention_args *a = p->args;
    fov_shared_mask *m = &p->shared_mask;
    if (!a->mask.data || p->few_rows || p->n_tasks == 0) return;
    m->of_head = a->mask.head_bytes != 0;
    m->of_batch = differs_by_batch(a);
    const int64_t n_masks = (m->of_head ? p->slice_heads : 1) * (m->of_batch ? p->n_slices / p->slice_heads : 1);
    if (n_masks == p->n_slices || p->n_tiles == 0 || p->n_tiles > MOST_BYTES) return;
    m->tile_bytes = (p->tile_keys + 31) / 32 * p->max_lanes * (int64_t)sizeof(uint32_t);
    m->n_blocks = (p->slice_rows + p->max_rows - 1) / p->max_rows;
    const int64_t most = MOST_BYTES / (m->tile_bytes * p->n_tiles);
    const int64_t kept = m->n_blocks > most / n_masks ? most : n_masks * m->n_blocks;
    m->n_tiles = kept * p->n_tiles;
    m->state_bytes = ((size_t)m->n_tiles + 63) & ~(size_t)63;
    m->bytes = m->state_bytes + (size_t)(m->n_tiles * m->tile_bytes);
}

void fov_shared_mask_slice(fov_task *t, char *shared)
{
    const fov_plan *p = t->plan;
    const fov_shared_mask *m = &p->shared_mask;
    t->mask_states = NULL;
    if (!m->n_tiles) return;
    const int64_t batch = t->slice / p->slice_heads, head = t->slice - batch * p->slice_heads;
    const int64_t mask = (m->of_batch ? batch : 0) * (m->of_head ? p->slice_heads : 1) + (m->of_head ? head : 0);
    t->mask_states = (uint8_t *)shared;
    t->mask_bits = shared + m->state_bytes;
    t->mask_block = mask * m->n_blocks;
}

/* Which of the kept tiles holds the keys from `key` on; -1: none. */
static int64_t kept_tile(const fov_task *t, const fov_query_block *q, int64_t key)
{
    const fov_plan *p = t->plan;
    if (!t->mask_states) return -1;
    const int64_t block = t->mask_block + q->row / p->max_rows;
    return block < p->shared_mask.n_tiles / p->n_tiles ? block * p->n_tiles + key / p->tile_keys : -1;
}

/* The same, and -1 where a range of keys has cut it short: its words begin elsewhere. */
static int64_t whole_tile(const fov_task *t, const fov_query_block *q, int64_t key)
{
    return key == t->keys_at && q->block.n_keys == t->n_keys_at ? kept_tile(t, q, key) : -1;
}

static size_t words_bytes(const fov_query_block *q)
{
    return sizeof(uint32_t) * (size_t)((q->block.n_steps + 31) / 32 * q->block.n_lanes);
}

int fov_kept_mask(const fov_task *t, const fov_query_block *q, int64_t key, uint32_t *words)
{
    const int64_t tile = whole_tile(t, q, key);
    if (tile < 0) return -1;
    const int found = __atomic_load_n(t->mask_states + tile, __ATOMIC_ACQUIRE) - KNOWN;
    if (found == FOV_PARTIAL) memcpy(words, t->mask_bits + tile * t->plan->shared_mask.tile_bytes, words_bytes(q));
    return found < 0 ? -1 : found;
}

void fov_keep_mask(const fov_task *t, const fov_query_block *q, int64_t key, const uint32_t *words, int extent)
{
    const int64_t tile = whole_tile(t, q, key);
    uint8_t unknown = UNKNOWN;
    if (tile < 0) return;
    if (!__atomic_compare_exchange_n(t->mask_states + tile, &unknown, CLAIMED, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) return;
    memcpy(t->mask_bits + tile * t->plan->shared_mask.tile_bytes, words, words_bytes(q));
    __atomic_store_n(t->mask_states + tile, (uint8_t)(KNOWN + extent), __ATOMIC_RELEASE);
}

int fov_ask_for_kept_mask(const fov_task *t, const fov_query_block *q, int64_t key)
{
    enum { LINE = 64 };
    const int64_t tile = kept_tile(t, q, key), n_bytes = t->plan->shared_mask.tile_bytes;
    if (tile < 0 || __atomic_load_n(t->mask_states + tile, __ATOMIC_RELAXED) < KNOWN) return 0;
    for (int64_t at = 0; at < n_bytes; at += LINE) __builtin_prefetch(t->mask_bits + tile * n_bytes + at, 0, 2);
    return 1;
}
