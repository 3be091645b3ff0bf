/* Who attends whom, as bits: causal, window and lengths are one range of keys per row, a bool mask is ANDed onto it.
 * One word per lane and 32 steps of the tile; a tile without any set bit is dead and never computed. */
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
    if (a->window_left == FOV_OPEN && a->window_right == FOV_OPEN) { /* 1 % of a short call */
        q->first_key = q->covered_first = 0;
        q->last_key = q->covered_last = t->kv_length;
        for (int i = 0; i < q->block.n_rows; i++) q->first[i] = 0;
        for (int i = 0; i < q->block.n_rows; i++) q->last[i] = t->kv_length;
        return;
    }
    q->first_key = q->covered_last = t->kv_length;
    q->last_key = q->covered_first = 0;
    int64_t group = t->plan->group_size, row = q->position, head = q->head;
    for (int i = 0; i < q->block.n_rows; i++, head + 1 == group ? (head = 0, row++) : head++) {
        int64_t position = shifted(row, t->q_offset), first = 0, last = t->kv_length;
        if (a->window_left != FOV_OPEN) first = clamp(shifted(position, -a->window_left), 0, t->kv_length);
        if (a->window_right != FOV_OPEN) last = clamp(shifted(shifted(position, a->window_right), 1), 0, t->kv_length);
        if (last < first) last = first;
        q->first[i] = first;
        q->last[i] = last;
        if (first > q->covered_first) q->covered_first = first;
        if (last < q->covered_last) q->covered_last = last;
        if (first < last) {
            if (first < q->first_key) q->first_key = first;
            if (last > q->last_key) q->last_key = last;
        }
    }
    if (q->last_key < q->first_key) q->last_key = q->first_key;
}

/* Bits s < n of a word. */
static uint32_t bits_before(int n) { return n <= 0 ? 0 : n >= 32 ? ~0u : (1u << n) - 1; }

/* The words of the lanes of one row that attends first <= key < last of the tile. Lane j has x / key_lanes keys before key x, and one
 * more where j < x % key_lanes: two words each for first and last. */
static void row_words(uint32_t *bits, int n_lanes, int n_words, int key_lanes, int first, int last)
{
    const int shift = __builtin_ctz((unsigned)key_lanes), first_rest = first & (key_lanes - 1),
              last_rest = last & (key_lanes - 1);
    for (int w = 0; w < n_words; w++) {
        int low = (first >> shift) - 32 * w, high = (last >> shift) - 32 * w;
        const uint32_t before[2] = {bits_before(low), bits_before(low + 1)},
                       after[2] = {bits_before(high), bits_before(high + 1)};
        for (int j = 0; j < key_lanes; j++) bits[w * n_lanes + j] = after[j < last_rest] & ~before[j < first_rest];
    }
}

static uint64_t bits64_before(int n) { return n <= 0 ? 0 : n >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1; }

/* The same of a row with one lane, two words at a time: every row of a tile on a diagonal has a range of its own. */
static void lane_words(uint32_t *bits, int n_lanes, int n_words, int first, int last)
{
    for (int w = 0; w < n_words; w += 2) {
        uint64_t both = bits64_before(last - 32 * w) & ~bits64_before(first - 32 * w);
        bits[w * n_lanes] = (uint32_t)both;
        if (w + 1 < n_words) bits[(w + 1) * n_lanes] = (uint32_t)(both >> 32);
    }
}

/* What the words say of a tile as a whole. */
static int extent(const fov_block *b, const uint32_t *attend)
{
    uint32_t some = 0, all = ~0u;
    for (int w = 0; 32 * w < b->n_steps; w++) {
        const uint32_t *words = attend + w * b->n_lanes, absent = ~bits_before(b->n_steps - 32 * w);
        for (int i = 0; i < b->n_rows * b->key_lanes; i++) {
            some |= words[i];
            all &= words[i] | absent;
        }
    }
    return !some ? FOV_DEAD : !~all ? FOV_FULL : FOV_PARTIAL;
}

/* The bits of the mask alone. */
static int mask_words(const fov_task *t, const fov_query_block *q, int64_t key, uint32_t *words)
{
    const fov_array *mask = &t->plan->args->mask;
    const fov_block *b = &q->block;
    const char *rows[FOV_MAX_LANES];
    int found = fov_kept_mask(t, q, key, words);
    if (found >= 0) return found;
    fov_row_pointers(t, q, t->mask + key * mask->column_bytes, mask, rows);
    t->plan->kernels->pack_bits(rows, b->n_rows, mask->column_bytes, b->n_keys, b->key_lanes, words, b->n_lanes);
    found = extent(b, words);
    fov_keep_mask(t, q, key, words, found);
    return found;
}

int fov_attends(const fov_task *t, const fov_query_block *q, int row, int key)
{
    const int key_lanes = q->block.key_lanes, step = key / key_lanes, lane = row * key_lanes + key % key_lanes;
    return t->attend[step / 32 * q->block.n_lanes + lane] >> (step % 32) & 1;
}

int fov_attend_words(fov_task *t, const fov_query_block *q, int64_t key)
{
    const fov_block *b = &q->block;
    const int n_lanes = b->n_lanes, key_lanes = b->key_lanes, n_words = (b->n_steps + 31) / 32;
    /* the range of each row covers the tile */
    int covered = q->covered_first <= key && q->covered_last >= key + b->n_keys;
    if (covered && t->mask) return mask_words(t, q, key, t->attend);
    if (covered && (b->n_keys & (key_lanes - 1)) == 0) return FOV_FULL;

    int any = 0, before_first = -1, before_last = -1;
    uint32_t *bits = t->attend;
    for (int row = 0; bits < t->attend + n_lanes; row++, bits += key_lanes) {
        int first = 0, last = 0;
        if (row < b->n_rows) {
            first = (int)clamp(q->first[row] - key, 0, b->n_keys);
            last = (int)clamp(q->last[row] - key, 0, b->n_keys);
        }
        any |= first < last;
        if (key_lanes == 1) lane_words(bits, n_lanes, n_words, first, last);
        else if (first != before_first || last != before_last) row_words(bits, n_lanes, n_words, key_lanes, first, last);
        else /* the range of the row before: its bits */
            for (int w = 0; w < n_words; w++)
                for (int j = 0; j < key_lanes; j++) bits[w * n_lanes + j] = bits[w * n_lanes + j - key_lanes];
        before_first = first, before_last = last;
    }
    if (!t->mask || !any) return any ? FOV_PARTIAL : FOV_DEAD;
    uint32_t words[FOV_MAX_TILE_KEYS / 32 * FOV_MAX_LANES];
    int masked = mask_words(t, q, key, words);
    if (masked != FOV_PARTIAL) return masked == FOV_FULL ? FOV_PARTIAL : FOV_DEAD;
    for (int i = 0; i < n_words * n_lanes; i++) t->attend[i] &= words[i];
    return extent(b, t->attend);
}

int fov_trim(const fov_task *t, fov_query_block *q, int64_t key)
{
    fov_block *b = &q->block;
    const int vector = t->plan->kernels->vector_lanes;
    int gain = 0;
    for (int j = 0, row = 0; row < b->n_rows; j++, row += vector) {
        int end = row + vector < b->n_rows ? row + vector : b->n_rows;
        b->vector_first[j] = (int)clamp(q->first[row] - key, 0, b->n_keys);
        b->vector_last[j] = (int)clamp(q->last[end - 1] - key, 0, b->n_keys);
        gain += b->vector_first[j] + b->n_keys - b->vector_last[j];
    }
    return gain > 0;
}
