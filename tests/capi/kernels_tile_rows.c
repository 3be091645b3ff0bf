/* Few rows of bf16 in tile registers, keys and values where they lie, against plain loops; NaN and infinities among the values. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernel_block.h"
#include "simd/half.h"

enum { LANES = 16 };

static int64_t whole(int64_t n, int64_t of) { return (n + of - 1) / of * of; }

static uint16_t half_random(suite *suite) { return fov_f32_to_bf16((float)random_uniform(&suite->random, -1, 1)); }

static wide half_get(const guarded *memory, int64_t byte) { return dtype_load(memory->data + byte, FOV_BF16); }

/* rows x columns of bf16, row_bytes apart. */
static guarded halves_new(suite *suite, int64_t rows, int64_t row_bytes, int64_t columns, int flush_end)
{
    guarded memory = guarded_new((size_t)((rows - 1) * row_bytes + 2 * columns), 2, flush_end);
    for (size_t at = 0; at < memory.size; at += 2) {
        const uint16_t x = half_random(suite);
        memcpy(memory.data + at, &x, 2);
    }
    return memory;
}

static fov_block block_new(suite *suite)
{
    random_state *random = &suite->random;
    fov_block b = {.key_lanes = 1, .n_lanes = LANES, .multiplier = 1, .n_planes = 1};
    b.n_keys = b.n_steps = (int)PICK(random, 1, 2, 3, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 128);
    b.n_rows = (int)(4 + random_below(random, 13));
    b.head_dim = PICK(random, 16, 17, 31, 32, 33, 63, 64, 65, 80, 96, 127, 128, 129, 256);
    b.value_dim = PICK(random, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 80, 95, 96, 97, 127, 128, 129, 256);
    return b;
}

/* Keys are there for whole tiles; the driver sees to it. */
static void test_score(suite *suite, const fov_tiles *tiles)
{
    fov_block b = block_new(suite);
    const int flush_end = (int)random_below(&suite->random, 2);
    const int64_t dim = b.head_dim, depth = whole(dim, FOV_TILE_DEPTH), n_keys = whole(b.n_keys, FOV_TILE_KEYS);
    guarded query = reals_new(suite, LANES * dim), keys = halves_new(suite, n_keys, 2 * depth, depth, flush_end),
            packed = guarded_new((size_t)(2 * depth * LANES), 4, flush_end),
            tile = guarded_new((size_t)(n_keys * LANES) * 4, 4, flush_end),
            values = halves_new(suite, b.n_keys, 2 * b.value_dim, b.value_dim, flush_end);
    for (int64_t i = 0; i < LANES * dim; i++) real_set(suite, query.data, i, (double)fov_bf16_to_f32(half_random(suite)));
    for (int64_t k = 0; k < n_keys; k++) memset(keys.data + 2 * (k * depth + dim), 0, (size_t)(2 * (depth - dim)));
    b.query = query.data, b.query_tiles = packed.data, b.key_tiles = keys.data, b.key_tiles_bytes = 2 * depth, b.tile = tile.data;
    b.stored_value = (fov_stored){.dtype = FOV_BF16, .rows = values.data, .row_bytes = 2 * b.value_dim};
    check_begin("%s tile score of rows keys %d D %d Dv %d", suite->isa->name, b.n_keys, (int)dim, (int)b.value_dim);
    RUN(suite, tiles->enter(); tiles->pack_query_rows(&b, packed.data); tiles->score_rows(&b); tiles->leave());
    for (int k = 0; k < b.n_keys && !check_failed(); k++)
        for (int lane = 0; lane < LANES; lane++) {
            wide sum = 0, size = 0;
            for (int64_t d = 0; d < dim; d++) {
                const wide term = real_get(suite, query.data, lane * dim + d) * half_get(&keys, 2 * (k * depth + d));
                sum += term;
                size += fabsl(term);
            }
            check_close(real_get(suite, tile.data, (int64_t)k * LANES + lane), sum,
                        gamma_of(dim, suite->u) * size + dim * suite->flushed, "tile", k, lane);
        }
    guarded *const all[] = {&query, &keys, &packed, &tile, &values};
    for (int i = 0; i < 5; i++) guarded_free(all[i]);
}

/* NaN and infinities as zeros, as the driver copies them; the reals keep them. */
static int spoil(suite *suite, const fov_block *b, guarded *stored, int64_t row_bytes, guarded *reals)
{
    static const double bad[] = {NAN, INFINITY, -INFINITY};
    const int n_bad = random_below(&suite->random, 3) ? 0 : 3;
    for (int64_t at = 0; at < b->n_keys * b->value_dim; at++)
        real_set(suite, reals->data, at, (double)half_get(stored, at / b->value_dim * row_bytes + at % b->value_dim * 2));
    for (int i = 0; i < n_bad; i++) {
        const int64_t at = random_below(&suite->random, b->n_keys * b->value_dim);
        memset(stored->data + at / b->value_dim * row_bytes + at % b->value_dim * 2, 0, 2);
        real_set(suite, reals->data, at, bad[i]);
    }
    return n_bad;
}

static void test_sum(suite *suite, const fov_tiles *tiles)
{
    random_state *random = &suite->random;
    fov_block b = block_new(suite);
    const int flush_end = (int)random_below(random, 2);
    const int64_t dim = b.value_dim, ld = 2 * dim + PICK(random, 0, 2, 30), n_weights = (int64_t)b.n_keys * LANES;
    guarded stored = halves_new(suite, b.n_keys, ld, dim, flush_end), reals = reals_new(suite, b.n_keys * dim),
            tile = reals_new(suite, n_weights), out = reals_new(suite, b.n_rows * dim),
            pairs = guarded_new((size_t)(8 * LANES * whole(b.n_keys, FOV_TILE_KEYS)), 4, flush_end),
            keys = halves_new(suite, b.n_keys, 2 * b.head_dim, b.head_dim, flush_end);
    const int n_bad = spoil(suite, &b, &stored, ld, &reals);
    uint32_t *attend = random_attend(suite, &b);
    b.has_rounded_weights = (int)random_below(random, 2);
    for (int64_t at = 0; at < n_weights; at++) {
        const float w = (float)real_get(suite, tile.data, at);
        if (b.has_rounded_weights) real_set(suite, tile.data, at, (double)fov_bf16_to_f32(fov_f32_to_bf16(w)));
        if (!attends(&b, attend, at)) real_set(suite, tile.data, at, 0); /* what is not attended has weight 0 */
    }
    const int wild = !n_bad && random_below(random, 4) == 0; /* a weight that is NaN or infinite: in its row alone */
    const int64_t wild_at = random_below(random, n_weights);
    if (wild) real_set(suite, tile.data, wild_at, random_below(random, 2) ? NAN : INFINITY);
    wide *weights = reals_copy(suite, &tile), *before = reals_copy(suite, &out);
    b.tile = tile.data, b.value = reals.data, b.value_ld = dim, b.accumulators = out.data, b.weight_tiles = pairs.data;
    b.stored_value = (fov_stored){.dtype = FOV_BF16, .rows = stored.data, .row_bytes = ld};
    b.stored_key = (fov_stored){.dtype = FOV_BF16, .rows = keys.data, .row_bytes = 2 * b.head_dim};
    check_begin("%s tile sum of %d rows keys %d Dv %d ld %d bad %d wild %d", suite->isa->name, b.n_rows, b.n_keys, (int)dim,
                (int)ld, n_bad, wild);
    RUN(suite, tiles->enter(); if (n_bad) tiles->add_not_finite_rows(&b, attend); tiles->weighted_sum_rows(&b); tiles->leave());
    for (int r = 0; r < b.n_rows && !check_failed(); r++)
        for (int64_t d = 0; d < dim; d++) {
            wide sum = before[r * dim + d], size = fabsl(sum);
            for (int k = 0; k < b.n_keys; k++) {
                const int64_t at = (int64_t)k * LANES + r;
                if (!attends(&b, attend, at) && !(wild && at == wild_at)) continue;
                const wide w = (wide)fov_bf16_to_f32(fov_f32_to_bf16((float)weights[at]));
                const wide value = real_get(suite, reals.data, k * dim + d);
                const wide term = w * (isfinite(value) || attends(&b, attend, at) ? value : 0);
                sum += term;
                size += fabsl(term);
            }
            const wide bound = isfinite(size) ? gamma_of(b.n_keys + 1, suite->u) * size + (b.n_keys + 1) * suite->flushed : 0;
            check_close(real_get(suite, out.data, r * dim + d), sum, bound, "accumulators", r, d);
        }
    free(weights);
    free(before);
    free(attend);
    guarded *const all[] = {&stored, &reals, &tile, &out, &pairs, &keys};
    for (int i = 0; i < 6; i++) guarded_free(all[i]);
}

static void test_finite(suite *suite, const fov_tiles *tiles)
{
    static const uint16_t bad[] = {0x7f80, 0xff80, 0x7fc0, 0x7f81, 0xffff};
    random_state *random = &suite->random;
    const fov_block b = block_new(suite);
    const int64_t ld = 2 * b.value_dim + PICK(random, 0, 2, 30);
    guarded stored = halves_new(suite, b.n_keys, ld, b.value_dim, (int)random_below(random, 2));
    const int64_t at = random_below(random, b.n_keys) * ld + 2 * random_below(random, b.value_dim);
    const uint16_t largest = 0xff7f, wrong = bad[random_below(random, 5)];
    check_begin("%s rows_finite keys %d Dv %d", suite->isa->name, b.n_keys, (int)b.value_dim);
    for (int64_t k = 0; k + 1 < b.n_keys; k++) /* what lies between the rows is none of them */
        if (ld > 2 * b.value_dim) memcpy(stored.data + k * ld + 2 * b.value_dim, &wrong, 2);
    memcpy(stored.data + at, &largest, 2);
    check(tiles->rows_finite((char *)stored.data, ld, b.n_keys, b.value_dim) == 1, "finite values");
    memcpy(stored.data + at, &wrong, 2);
    check(tiles->rows_finite((char *)stored.data, ld, b.n_keys, b.value_dim) == 0, "%#x is finite", wrong);
    guarded_free(&stored);
}

void test_tile_rows(suite *suite)
{
    const fov_tiles *tiles = suite->isa->tiles;
    if (suite->real != FOV_F32 || !tiles) return;
    for (int repeat = 0; repeat < 300; repeat++) {
        test_score(suite, tiles);
        test_sum(suite, tiles);
        test_finite(suite, tiles);
    }
}
