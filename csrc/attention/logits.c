/* One tile of logits: score, then the modifiers in the order of the definition, then the mask. */
#include <assert.h>

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

/* Each pass folds what is pending of the scale into its own arithmetic; the plan knows what is left for the activation. */
static void modify(fov_task *t, fov_query_block *q, int64_t key)
{
    const fov_plan *p = t->plan;
    const fov_modifiers *m = &p->kernels->modify;
    if (p->early_scale) m->scale(&q->block);
    if (p->capped) m->softcap(&q->block, p->args->softcap);
    if (t->bias) add_bias(t, q, key);
    if (p->args->alibi_slopes) add_alibi(t, q, key);
    assert(q->block.multiplier == p->multiplier);
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
        fov_point_at_keys(t, q, key);
        q->block.multiplier = a->scale;
        t->plan->score_tile(&q->block);
        modify(t, q, key);
    } else {
        q->block.multiplier = 1;
        if (a->stages == FOV_STAGE_COMBINE) fov_gather_tile(t, q, t->weights, &a->weights, key, t->tile);
        else fov_gather_tile(t, q, t->logits, &a->logits, key, t->tile);
    }
    if (attend == FOV_PARTIAL && a->stages != FOV_STAGE_COMBINE) t->plan->kernels->modify.mask(&q->block, t->attend);
    return attend;
}
