/* Tiles so far away that ALiBi leaves nothing of them: every weight would be 0, to the bit. No logit of row i is larger than |q_i| |k| scale
 * + slope distance, for the longest key of the tile and the nearest position of it, and below the smallest normal number the
 * exponential of its distance from the row's reference is 0. Rows that are not far keep all their tiles. */
#include <math.h>
#include <string.h>

#include "attention/task.h"

/* Found out by the first task that comes by; never 0. */
static double key_norm(fov_task *t)
{
    uint32_t *known = t->key_norms ? t->key_norms + t->keys_at / t->plan->tile_keys : NULL;
    uint32_t bits = known ? __atomic_load_n(known, __ATOMIC_RELAXED) : 0;
    float norm;
    memcpy(&norm, &bits, sizeof norm);
    if (bits) return (double)norm;
    fov_need_key(t);
    norm = t->plan->kernels->modify.largest_norm(t->key_block, t->key_ld, t->n_keys_at, t->plan->key_dim);
    memcpy(&bits, &norm, sizeof bits);
    if (known) __atomic_store_n(known, bits, __ATOMIC_RELAXED);
    return (double)norm;
}

/* The largest logits first, so that the rest is known to be far; of a group as its first head has them. */
int fov_goes_backwards(const fov_task *t) { return t->plan->args->alibi_slopes[t->q_head] > 0; }

int fov_is_far(fov_task *t, fov_query_block *q, int64_t first, int64_t last)
{
    enum { TRUST = 50 }; /* products may be off by as much as bf16 is, 2^-7; sums by far less */
    const fov_plan *p = t->plan;
    const fov_attention_args *a = p->args;
    const double *slopes = a->alibi_slopes + t->q_head;
    const double of_keys = key_norm(t) * fabs(a->scale) * (1 + 1.0 / TRUST);
    double position = (double)q->position + (double)t->q_offset;
    int64_t head = q->head;
    for (int i = 0; i < q->block.n_rows; i++) {
        const double nearest = (double)(slopes[head] > 0 ? last - 1 : first) - position, bias = slopes[head] * nearest;
        const double of_products = q->norms[i] * of_keys, reference = p->kernels->modify.reference(&q->block, i);
        const double rounding = 1e-4 * (of_products + fabs(bias) + fabs(reference));
        if (!(of_products + bias - reference + rounding < p->nothing)) return 0; /* NaN and infinities too */
        if (++head == p->group_size) head = 0, position++;
    }
    return 1;
}
