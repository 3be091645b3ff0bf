/* One tile of logits: score, then the modifiers in the order of the definition, then the mask. */
#include <assert.h>
#include <string.h>

#include "attention/task.h"

static void add_bias(fov_task *t, fov_query_block *q, int64_t key)
{
    fov_gather_add_tile(t, q, t->bias, &t->plan->args->bias, key);
    q->block.multiplier = 1;
}

/* Slopes and distances of the lanes; `first`: of the first row and the first key. */
static void alibi_of_groups(const fov_task *t, const fov_query_block *q, double first, double *slopes, double *distance)
{
    const double *of_group = t->plan->args->alibi_slopes + t->q_head;
    int64_t position = 0, head = q->head;
    int key_lanes = q->block.key_lanes;
    for (int row = 0; row < q->block.n_rows; row++) {
        for (int j = 0; j < key_lanes; j++) {
            slopes[row * key_lanes + j] = of_group[head];
            distance[row * key_lanes + j] = first - (double)position + j;
        }
        if (++head == t->plan->group_size) head = 0, position++;
    }
}

static void add_alibi(fov_task *t, fov_query_block *q, int64_t key)
{
    double slopes[FOV_MAX_LANES] = {0}, distance[FOV_MAX_LANES] = {0};
    const double first = (double)key - ((double)q->position + (double)t->q_offset);
    if (t->plan->group_size > 1 || q->block.key_lanes > 1) {
        alibi_of_groups(t, q, first, slopes, distance);
    } else { /* straight loops: 1 % of a prefill */
        const double slope = t->plan->args->alibi_slopes[t->q_head];
        for (int row = 0; row < q->block.n_rows; row++) slopes[row] = slope;
        for (int row = 0; row < q->block.n_rows; row++) distance[row] = first - row;
    }
    t->plan->kernels->modify.alibi(&q->block, slopes, distance);
}

/* What a callback sees of a tile: one query head of it, one call per head of the group. */
static void describe(const fov_task *t, const fov_query_block *q, int64_t key, int first_lane, int n_queries,
                     fov_logits_tile *tile)
{
    int64_t row = q->row + first_lane;
    *tile = (fov_logits_tile){.n_queries = n_queries,
                              .n_keys = q->block.n_keys,
                              .batch = t->slice / t->plan->slice_heads,
                              .head = t->q_head + row % t->plan->group_size,
                              .first_query = row / t->plan->group_size,
                              .first_key = key,
                              .dtype = t->plan->kernels->real_bytes == 8 ? FOV_F64 : FOV_F32};
}

/* Lanes hold the heads of a group in turns: those of one head are group_size apart. Where a row has several lanes its keys lie in
 * pieces, and go through a contiguous row. */
static void call_modifier(fov_task *t, fov_query_block *q, int64_t key)
{
    const fov_attention_args *a = t->plan->args;
    const fov_block *b = &q->block;
    int64_t real = t->plan->kernels->real_bytes, group = t->plan->group_size;
    fov_logits_tile tile;
    if (b->key_lanes == 1) {
        for (int first = 0; first < group && first < b->n_rows; first++) {
            describe(t, q, key, first, (int)((b->n_rows - first + group - 1) / group), &tile);
            tile.logits = (char *)b->tile + first * real;
            tile.query_stride = group;
            tile.key_stride = b->n_lanes;
            a->modifier(&tile, a->modifier_user);
        }
        return;
    }
    for (int row = 0; row < b->n_rows; row++) {
        char *lanes = (char *)b->tile + row * b->key_lanes * real, *flat = (char *)t->modifier_row;
        size_t piece = (size_t)(b->key_lanes * real);
        for (int s = 0; s < b->n_steps; s++) memcpy(flat + s * (int64_t)piece, lanes + s * b->n_lanes * real, piece);
        describe(t, q, key, row, 1, &tile);
        tile.logits = flat;
        tile.query_stride = 0;
        tile.key_stride = 1;
        a->modifier(&tile, a->modifier_user);
        for (int s = 0; s < b->n_steps; s++) memcpy(lanes + s * b->n_lanes * real, flat + s * (int64_t)piece, piece);
    }
}

/* 1: the caller says that no row of the block attends any key of the tile. */
static int is_masked_out(const fov_task *t, const fov_query_block *q, int64_t key)
{
    const fov_attention_args *a = t->plan->args;
    int64_t group = t->plan->group_size;
    for (int first = 0; first < group && first < q->block.n_rows; first++) {
        fov_logits_tile tile;
        describe(t, q, key, first, (int)((q->block.n_rows - first + group - 1) / group), &tile);
        if (a->tile_mask(&tile, a->tile_mask_user)) return 0;
    }
    return 1;
}

/* Each pass folds what is pending of the scale into its own arithmetic; the plan knows what is left for the activation. */
static void modify(fov_task *t, fov_query_block *q, int64_t key)
{
    const fov_plan *p = t->plan;
    const fov_modifiers *m = &p->kernels->modify;
    if (p->early_scale) m->scale(&q->block);
    if (p->capped) m->softcap(&q->block, p->args->softcap);
    if (t->bias) add_bias(t, q, key);
    if (p->args->alibi_slopes) add_alibi(t, q, key);
    if (p->args->modifier) {
        if (q->block.multiplier != 1) m->scale(&q->block);
        call_modifier(t, q, key);
    }
    assert(q->block.multiplier == p->multiplier);
}

static void score_in_pieces(fov_task *t, const fov_query_block *q, int64_t key, int piece)
{
    enum { QUARTERS = 4 };
    const fov_plan *p = t->plan;
    const int n_keys = q->block.n_keys;
    fov_block b = q->block;
    b.key = t->key_rows;
    b.key_ld = p->key_dim;
    for (int k = 0; k < n_keys; k += piece) {
        b.n_keys = b.n_steps = n_keys - k < piece ? n_keys - k : piece;
        fov_read_keys(t, key + k, b.n_keys, t->key_rows);
        p->score_tile(&b);
        b.tile = (char *)b.tile + (int64_t)piece * b.n_lanes * p->kernels->real_bytes;
        for (int i = 0; i < 2; i++) b.ahead[i] += piece / QUARTERS * b.ahead_bytes[i];
    }
}

static void score(fov_task *t, fov_query_block *q, int64_t key)
{
    if (t->plan->reads_stored_keys) {
        q->block.stored_key = fov_stored_keys(t, key);
        t->plan->score->rows_stored(&q->block);
        return;
    }
    if (t->plan->tile_scores) {
        fov_need_key_tiles(t);
        fov_use_tiles(t);
        q->block.key_tiles = t->key_tile_rows + (key - t->keys_at) * t->key_tile_bytes;
        q->block.key_tiles_bytes = t->key_tile_bytes;
        if (t->plan->tile_rows) {
            q->block.stored_key = fov_stored_keys(t, key);
            q->block.stored_value = fov_stored_values(t, key);
            t->plan->tiles->score_rows(&q->block);
            return;
        }
        t->plan->tiles->score(&q->block);
        if (t->key_finite && !q->has_not_finite) return;
        fov_point_at_keys(t, q, key);
        t->plan->tiles->score_not_finite(&q->block);
        return;
    }
    const int piece = q->block.trimmed || t->plan->few_rows ? 0 : fov_keys_per_piece(t);
    if (piece) {
        score_in_pieces(t, q, key, piece);
        return;
    }
    fov_need_key(t);
    fov_point_at_keys(t, q, key);
    t->plan->score_tile(&q->block);
}

int fov_compute_logits(fov_task *t, fov_query_block *q, int64_t key, int n_keys)
{
    const fov_attention_args *a = t->plan->args;
    q->block.tile = t->tile;
    q->block.n_keys = n_keys;
    q->block.n_steps = (n_keys + q->block.key_lanes - 1) / q->block.key_lanes;
    int attend = a->tile_mask && is_masked_out(t, q, key) ? FOV_DEAD : fov_attend_words(t, q, key);
    if (attend == FOV_DEAD) {
        t->tiles_dead++;
        return attend;
    }
    t->tiles_computed++;
    q->block.trimmed = attend == FOV_PARTIAL && t->plan->trims && fov_trim(t, q, key);
    if (a->stages & FOV_STAGE_SCORE) {
        q->block.multiplier = a->scale;
        score(t, q, key);
        modify(t, q, key);
    } else {
        q->block.multiplier = 1;
        if (a->stages == FOV_STAGE_COMBINE) fov_gather_tile(t, q, t->weights, &a->weights, key, t->tile);
        else fov_gather_tile(t, q, t->logits, &a->logits, key, t->tile);
    }
    if (attend == FOV_PARTIAL && a->stages != FOV_STAGE_COMBINE) t->plan->kernels->modify.mask(&q->block, t->attend);
    return attend;
}
