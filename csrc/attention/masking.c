/* Who attends whom, as bits: causal, window and lengths are one range of keys per row, a bool mask is ANDed onto it.
 * One word per lane and 32 keys; a tile without any set bit is dead and never computed. */
#include "attention/task.h"

static int64_t clamp(int64_t x, int64_t low, int64_t high) { return x < low ? low : x > high ? high : x; }

/* p + delta without overflow: positions beyond 2^61 behave as if infinitely far. */
static int64_t shifted(int64_t p, int64_t delta)
{
    const int64_t far = INT64_C(1) << 61;
    return clamp(p, -far, far) + clamp(delta, -far, far);
}

void fov_set_ranges(const fov_task *t, fov_query_block *q)
{
    const fov_attention_args *a = t->plan->args;
    q->first_key = t->kv_length;
    q->last_key = 0;
    int64_t group = t->plan->group_size, row = q->row / group, head = q->row % group;
    for (int i = 0; i < q->block.n_rows; i++, head + 1 == group ? (head = 0, row++) : head++) {
        int64_t position = shifted(row, t->q_offset), first = 0, last = t->kv_length;
        if (a->window_left != FOV_OPEN) first = clamp(shifted(position, -a->window_left), 0, t->kv_length);
        if (a->window_right != FOV_OPEN) last = clamp(shifted(shifted(position, a->window_right), 1), 0, t->kv_length);
        if (last < first) last = first;
        q->first[i] = first;
        q->last[i] = last;
        if (first < last) {
            if (first < q->first_key) q->first_key = first;
            if (last > q->last_key) q->last_key = last;
        }
    }
    if (q->last_key < q->first_key) q->last_key = q->first_key;
}

/* Bits low <= k < high of a word. */
static uint32_t range_bits(int64_t low, int64_t high)
{
    low = clamp(low, 0, 32);
    high = clamp(high, 0, 32);
    if (low >= high) return 0;
    return (uint32_t)((UINT64_C(1) << high) - (UINT64_C(1) << low));
}

static void and_mask(fov_task *t, const fov_query_block *q, int64_t key, int n_keys)
{
    const fov_array *mask = &t->plan->args->mask;
    const int n_lanes = q->block.n_lanes, n_words = (n_keys + 31) / 32;
    const char *lanes[FOV_MAX_LANES];
    uint32_t words[FOV_MAX_TILE_KEYS / 32];
    fov_lane_pointers(t, q, t->mask, mask, key, lanes);
    for (int i = 0; i < q->block.n_rows; i++) {
        if (i == 0 || lanes[i] != lanes[i - 1]) /* broadcast over rows or heads: the same bits again */
            t->plan->kernels->pack_bits(lanes[i], mask->column_bytes, n_keys, words, 1);
        for (int w = 0; w < n_words; w++) t->attend[w * n_lanes + i] &= words[w];
    }
}

int fov_attend_words(fov_task *t, const fov_query_block *q, int64_t key, int n_keys)
{
    const int n_lanes = q->block.n_lanes, n_words = (n_keys + 31) / 32;
    int full = t->mask == NULL;
    for (int i = 0; full && i < q->block.n_rows; i++) full = q->first[i] <= key && q->last[i] >= key + n_keys;
    if (full) return FOV_FULL;

    for (int w = 0; w < n_words; w++)
        for (int i = 0; i < n_lanes; i++) {
            int64_t at = key + 32 * w;
            t->attend[w * n_lanes + i] = i < q->block.n_rows ? range_bits(q->first[i] - at, q->last[i] - at) : 0;
        }
    if (t->mask) and_mask(t, q, key, n_keys);

    uint32_t some = 0, all = ~0u;
    for (int w = 0; w < n_words; w++) {
        uint32_t exist = range_bits(0, n_keys - 32 * w);
        for (int i = 0; i < q->block.n_rows; i++) {
            some |= t->attend[w * n_lanes + i] & exist;
            all &= t->attend[w * n_lanes + i] | ~exist;
        }
    }
    return !some ? FOV_DEAD : !~all ? FOV_FULL : FOV_PARTIAL;
}
