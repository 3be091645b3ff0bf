/* One tile of logits: score, then the modifiers in the order of the definition, then the mask. */
#include "attention/task.h"

static void add_bias(fov_task *t, fov_query_block *q, int64_t key)
{
    fov_gather_tile(t, q, t->bias, &t->plan->args->bias, key, t->bias_tile);
    t->plan->kernels->modify.add(&q->block, t->bias_tile);
}

static void add_alibi(fov_task *t, fov_query_block *q, int64_t key)
{
    double slopes[FOV_MAX_LANES] = {0}, distance[FOV_MAX_LANES] = {0};
    int64_t group = t->plan->group_size;
    int key_lanes = q->block.key_lanes;
    for (int i = 0; i < q->block.n_rows * key_lanes; i++) {
        int64_t row = q->row + i / key_lanes;
        slopes[i] = t->plan->args->alibi_slopes[t->q_head + row % group];
        distance[i] = (double)(key + i % key_lanes) - ((double)(row / group) + (double)t->q_offset);
    }
    t->plan->kernels->modify.alibi(&q->block, slopes, distance);
}

/* Whoever comes next folds a positive multiplier of ordinary size into its own arithmetic; 0, negative, huge and tiny ones go
 * first, since they would turn -inf around, or overflow, or vanish. */
static void fold_range(const fov_task *t, fov_query_block *q)
{
    const fov_kernels *kernels = t->plan->kernels;
    double m = q->block.multiplier;
    if (m == 1 || (m > 4 * kernels->least && m < kernels->largest / 4)) return; /* 4: room for log2(e) */
    kernels->modify.scale(&q->block);
}

static void modify(fov_task *t, fov_query_block *q, int64_t key)
{
    const fov_attention_args *a = t->plan->args;
    const fov_kernels *kernels = t->plan->kernels;
    const fov_modifiers *m = &kernels->modify;
    /* beyond the roots of the range neither x / cap nor cap * tanh would keep its digits, and nothing is capped there */
    if (a->softcap > 0 && a->softcap * a->softcap < kernels->largest) {
        fold_range(t, q);
        m->softcap(&q->block, a->softcap);
    }
    if (t->bias || a->alibi_slopes) fold_range(t, q);
    if (t->bias) add_bias(t, q, key);
    if (a->alibi_slopes) add_alibi(t, q, key);
    fold_range(t, q);
}

int fov_compute_logits(fov_task *t, fov_query_block *q, int64_t key, int n_keys)
{
    const fov_attention_args *a = t->plan->args;
    q->block.tile = t->tile;
    q->block.n_keys = n_keys;
    q->block.n_steps = (n_keys + q->block.key_lanes - 1) / q->block.key_lanes;
    int attend = fov_attend_words(t, q, key);
    if (attend == FOV_DEAD) {
        t->tiles_dead++;
        return attend;
    }
    t->tiles_computed++;
    if (a->stages & FOV_STAGE_SCORE) {
        fov_need_key(t);
        q->block.key = t->key_block + (key - t->keys_at) * t->key_ld * t->plan->kernels->real_bytes;
        q->block.key_ld = t->key_ld;
        q->block.multiplier = a->scale;
        t->plan->score(&q->block);
        modify(t, q, key);
    } else {
        q->block.multiplier = 1;
        if (a->stages == FOV_STAGE_COMBINE) fov_gather_tile(t, q, t->weights, &a->weights, key, t->tile);
        else fov_gather_tile(t, q, t->logits, &a->logits, key, t->tile);
    }
    if (attend == FOV_PARTIAL && a->stages != FOV_STAGE_COMBINE) t->plan->kernels->modify.mask(&q->block, t->attend);
    return attend;
}
