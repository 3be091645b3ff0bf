/* Totals of a tile of weights per key, of one ISA, against plain loops. */
#include <math.h>
#include <stdlib.h>

#include "kernel_block.h"

static void test_one(suite *suite, int repeat, int group_size, int is_max)
{
    random_state *random = &suite->random;
    kernel_block b;
    kernel_block_init(&b, suite, repeat % 3 == 0);
    const fov_block *block = &b.block;
    int first_head = (int)random_below(random, group_size);
    int64_t stride = block->n_keys + random_below(random, 3);
    size_t n = (size_t)((group_size - 1) * stride + block->n_keys);
    guarded memory = guarded_new(n * sizeof(double), sizeof(double), repeat % 2);
    double *totals = (double *)memory.data, *before = malloc(n * sizeof *before);
    for (size_t i = 0; i < n; i++) before[i] = totals[i] = random_uniform(random, -1, 1);
    if (repeat % 4 == 0) real_set(suite, block->tile, random_below(random, reals_in(suite, &b.memory[TILE])), NAN);
    if (repeat % 8 == 1) before[0] = totals[0] = NAN; /* stays */
    check_begin("%s %s totals %s keys %d lanes %d / %d rows %d group %d from %d", suite->isa->name, dtype_name(suite->real),
                is_max ? "max" : "sum", block->n_keys, block->n_lanes, block->key_lanes, block->n_rows, group_size, first_head);
    RUN(suite, suite->kernels->modify.totals(block, first_head, group_size, is_max, totals, stride));
    for (int head = 0; head < group_size; head++)
        for (int key = 0; key < block->n_keys; key++) {
            size_t at = (size_t)(head * stride + key);
            wide want = (wide)before[at], size = fabsl(want);
            for (int row = 0; row < block->n_rows; row++) {
                if ((first_head + row) % group_size != head) continue;
                wide w = real_get(suite, block->tile, tile_at(block, key, row));
                want = !is_max ? want + w : isnan(want) || isnan(w) ? (wide)NAN : fmaxl(want, w);
                size += fabsl(w);
            }
            /* a maximum is exact; a sum is at most n_rows additions of reals, then of doubles */
            wide bound = is_max ? 0 : gamma_of(block->n_rows + 1, suite->u) * size + suite->flushed;
            check_close((wide)totals[at], want, bound, "totals", head, key);
        }
    for (size_t i = 0; i < n; i++) /* between the heads */
        if ((int64_t)i % stride >= block->n_keys) check(totals[i] == before[i], "element %d was written", (int)i);
    free(before);
    guarded_free(&memory);
    kernel_block_free(&b);
}

void test_totals(suite *suite)
{
    static const int group_sizes[] = {1, 3, 4};
    for (int group = 0; group < 3; group++)
        for (int repeat = 0; repeat < 40; repeat++) {
            test_one(suite, repeat, group_sizes[group], 0);
            test_one(suite, repeat, group_sizes[group], 1);
        }
}
