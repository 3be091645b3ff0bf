/* Combines of one ISA against plain loops: whatever its name, what the table holds is a weighted sum. */
#include <math.h>
#include <stdlib.h>

#include "kernel_block.h"

static int64_t accumulator(const fov_block *block, int by_rows, int lane, int64_t column)
{
    return by_rows ? lane * block->value_dim + column : column * block->n_lanes + lane;
}

/* accumulators + weights * value over the keys that `attend` has (NULL: all). */
static void check_sum(suite *suite, const kernel_block *b, int by_rows, const wide *before, const uint32_t *attend)
{
    const fov_block *block = &b->block;
    for (int lane = 0; lane < block->n_rows && !check_failed(); lane++)
        for (int64_t column = 0; column < block->value_dim; column++) {
            int64_t at = accumulator(block, by_rows, lane, column);
            wide sum = before[at], size = fabsl(before[at]);
            for (int k = 0; k < block->n_keys; k++) {
                if (attend && !attends(block, attend, tile_at(block, k, lane))) continue;
                wide term = real_get(suite, block->tile, tile_at(block, k, lane)) *
                            real_get(suite, block->value, k * block->value_ld + column);
                sum += term;
                size += fabsl(term);
            }
            wide bound = gamma_of(block->n_keys + 1, suite->u) * size + (block->n_keys + 1) * suite->flushed;
            check_close(real_get(suite, block->accumulators, at), sum, bound, "accumulators", lane, column);
        }
}

static void name_case(const suite *suite, const fov_block *block, int combine, int by_rows, const char *what)
{
    check_begin("%s %s combine %s %s %s keys %d lanes %d rows %d Dv %d ld %d", suite->isa->name, dtype_name(suite->real),
                fov_combine_name(combine), by_rows ? "rows" : "lanes", what, block->n_keys, block->n_lanes, block->n_rows,
                (int)block->value_dim, (int)block->value_ld);
}

static void test_tile(suite *suite, const fov_accumulate *entry, int combine, int by_rows)
{
    kernel_block b;
    kernel_block_init(&b, suite, by_rows);
    wide *before = reals_copy(suite, &b.memory[ACCUMULATORS]);
    name_case(suite, &b.block, combine, by_rows, "tile");
    RUN(suite, entry->tile(&b.block));
    check_sum(suite, &b, by_rows, before, NULL);
    free(before);
    kernel_block_free(&b);
}

/* NaN and infinity in the values of some keys; they reach the lanes that attend the key and no others. */
static void test_selected(suite *suite, const fov_accumulate *entry, int combine, int by_rows)
{
    kernel_block b;
    kernel_block_init(&b, suite, by_rows);
    fov_block *block = &b.block;
    uint32_t *attend = random_attend(suite, block);
    wide *before = reals_copy(suite, &b.memory[ACCUMULATORS]);
    for (int i = 0; i < 2 && block->value_dim > 0; i++) {
        int64_t key = random_below(&suite->random, block->n_keys), column = random_below(&suite->random, block->value_dim);
        real_set(suite, b.memory[VALUE].data, key * block->value_ld + column, i ? INFINITY : NAN);
    }
    name_case(suite, block, combine, by_rows, "selected");
    RUN(suite, entry->selected(block, attend));
    check_sum(suite, &b, by_rows, before, attend);
    free(before);
    free(attend);
    kernel_block_free(&b);
}

static void test_rescale(suite *suite, const fov_accumulate *entry, int combine, int by_rows)
{
    kernel_block b;
    kernel_block_init(&b, suite, by_rows);
    const fov_block *block = &b.block;
    wide *before = reals_copy(suite, &b.memory[ACCUMULATORS]);
    name_case(suite, block, combine, by_rows, "rescale");
    int finite;
    RUN(suite, finite = entry->rescale(&b.block));
    check(finite, "finite accumulators are called not finite");
    for (int lane = 0; lane < block->n_rows; lane++)
        for (int64_t column = 0; column < block->value_dim; column++) {
            int64_t at = accumulator(block, by_rows, lane, column);
            wide want = before[at] * real_get(suite, block->row_factor, lane * block->key_lanes);
            check_close(real_get(suite, block->accumulators, at), want, suite->u * fabsl(want) + suite->flushed, "accumulators",
                        lane, column);
        }
    for (int i = 0; i < 2 && block->value_dim; i++) {
        int lane = (int)random_below(&suite->random, block->n_rows);
        int64_t column = random_below(&suite->random, block->value_dim), at = accumulator(block, by_rows, lane, column);
        double good = real_get(suite, block->accumulators, at);
        real_set(suite, block->accumulators, at, i ? -INFINITY : NAN);
        RUN(suite, finite = entry->rescale(&b.block));
        check(!finite, "an accumulator of %f in row %d, column %d is called finite", i ? -INFINITY : NAN, lane, (int)column);
        real_set(suite, block->accumulators, at, good);
    }
    free(before);
    kernel_block_free(&b);
}

static void test_merge(suite *suite, const fov_accumulate *entry, int combine, int by_rows)
{
    kernel_block into;
    kernel_block_init(&into, suite, by_rows);
    fov_block *block = &into.block, from = *block;
    guarded other = reals_new(suite, reals_in(suite, &into.memory[ACCUMULATORS]));
    guarded factor = reals_new(suite, block->n_lanes);
    from.accumulators = other.data;
    from.row_factor = factor.data;
    wide *before = reals_copy(suite, &into.memory[ACCUMULATORS]);
    name_case(suite, block, combine, by_rows, "merge");
    RUN(suite, entry->merge(block, &from));
    for (int lane = 0; lane < block->n_rows; lane++)
        for (int64_t column = 0; column < block->value_dim; column++) {
            int64_t at = accumulator(block, by_rows, lane, column);
            wide a = before[at] * real_get(suite, block->row_factor, lane * block->key_lanes);
            wide x = real_get(suite, other.data, at) * real_get(suite, factor.data, lane * block->key_lanes);
            wide bound = gamma_of(2, suite->u) * (fabsl(a) + fabsl(x)) + 3 * suite->flushed;
            check_close(real_get(suite, block->accumulators, at), a + x, bound, "accumulators", lane, column);
        }
    free(before);
    guarded_free(&other);
    guarded_free(&factor);
    kernel_block_free(&into);
}

void test_combines(suite *suite)
{
    for (int combine = 0; combine < FOV_N_COMBINES; combine++)
        for (int by_rows = 0; by_rows < 2; by_rows++) {
            const fov_combine *stage = &suite->kernels->combine[combine];
            const fov_accumulate *entry = by_rows ? &stage->rows : &stage->lanes;
            for (int repeat = 0; repeat < 60; repeat++) {
                test_tile(suite, entry, combine, by_rows);
                test_selected(suite, entry, combine, by_rows);
                test_rescale(suite, entry, combine, by_rows);
                test_merge(suite, entry, combine, by_rows);
            }
        }
}
