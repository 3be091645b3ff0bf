#include "attention/split.h"

#include <string.h>

static char *partials(const fov_plan *p, char *shared) { return shared + p->split_bytes - p->partial_bytes * (size_t)p->n_tasks; }

void fov_split_reset(const fov_plan *p, char *shared)
{
    if (p->n_chunks > 1) memset(shared, 0, sizeof(uint32_t) * (size_t)(p->n_slices * p->n_row_tasks));
}

/* A query block's accumulators and state lie behind one another, in the scratch as in a partial. */
static size_t state_size(const fov_plan *p) { return p->accumulator_bytes + 3 * p->state_bytes; }

static void load(const fov_plan *p, fov_block *b, char *at)
{
    b->accumulators = at;
    b->row_max = at + p->accumulator_bytes;
    b->row_sum = (char *)b->row_max + p->state_bytes;
    b->row_factor = (char *)b->row_sum + p->state_bytes;
}

int fov_split_join(fov_task *t, char *shared, int64_t unit, int64_t chunk)
{
    const fov_plan *p = t->plan;
    uint32_t *ticket = (uint32_t *)shared + unit;
    char *first = partials(p, shared) + (size_t)(unit * p->n_chunks) * p->partial_bytes;
    char *mine = first + (size_t)chunk * p->partial_bytes;
    for (int i = 0; i < t->n_blocks; i++)
        memcpy(mine + (size_t)i * state_size(p), t->blocks[i].block.accumulators, state_size(p));
    /* release what was written here, acquire what the others wrote */
    if (__atomic_add_fetch(ticket, 1, __ATOMIC_ACQ_REL) != (uint32_t)p->n_chunks) return 0;

    for (int i = 0; i < t->n_blocks; i++) {
        fov_block *into = &t->blocks[i].block, from = *into;
        memcpy(into->accumulators, first + (size_t)i * state_size(p), state_size(p));
        for (int64_t c = 1; c < p->n_chunks; c++) {
            load(p, &from, first + (size_t)c * p->partial_bytes + (size_t)i * state_size(p));
            p->activation->merge(into, &from);
            p->accumulate->merge(into, &from);
        }
    }
    return 1;
}
