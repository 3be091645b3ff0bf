/* Products in tile registers against plain loops: the ISA's own instructions, or their emulation (FOVEATE_EMULATE_AMX). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernel_block.h"
#include "simd/half.h"

static const wide U_BF16 = 0x1p-8L;

static int64_t whole(int64_t n, int64_t of) { return (n + of - 1) / of * of; }

static float bf16_random(suite *suite) { return fov_bf16_to_f32(fov_f32_to_bf16((float)random_uniform(&suite->random, -1, 1))); }

/* n numbers of bf16, as reals or as they are stored. */
static void fill_bf16(suite *suite, guarded *memory, int as_reals)
{
    size_t item = as_reals ? sizeof(float) : sizeof(uint16_t);
    for (size_t i = 0; i < memory->size / item; i++) {
        float x = bf16_random(suite);
        uint16_t half = fov_f32_to_bf16(x);
        memcpy(memory->data + i * item, as_reals ? (void *)&x : (void *)&half, item);
    }
}

static void set_half(guarded *memory, int64_t byte, float x)
{
    uint16_t half = fov_f32_to_bf16(x);
    memcpy(memory->data + byte, &half, 2);
}

static wide get_half(const guarded *memory, int64_t byte) { return dtype_load(memory->data + byte, FOV_BF16); }

typedef struct tile_case {
    fov_block block;
    int flush_end;
} tile_case;

static tile_case case_new(suite *suite)
{
    random_state *random = &suite->random;
    tile_case c = {.flush_end = (int)random_below(random, 2)};
    c.block.n_keys = (int)PICK(random, 1, 2, 3, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, FOV_MAX_TILE_KEYS);
    c.block.n_steps = c.block.n_keys;
    c.block.key_lanes = 1;
    c.block.n_lanes = 16 * (int)(1 + random_below(random, 3));
    c.block.n_rows = c.block.n_lanes;
    c.block.head_dim = PICK(random, 16, 17, 31, 32, 33, 63, 64, 65, 80, 127, 128, 129, 256);
    c.block.value_dim = PICK(random, 16, 17, 31, 32, 33, 48, 63, 64, 65, 80, 127, 128, 129);
    c.block.multiplier = 1;
    c.block.n_planes = 1;
    return c;
}

static void test_score(suite *suite, const fov_tiles *tiles)
{
    tile_case c = case_new(suite);
    fov_block *b = &c.block;
    int64_t dim = b->head_dim, depth = whole(dim, FOV_TILE_DEPTH), rows = whole(b->n_keys, FOV_TILE_KEYS);
    int64_t ld = 2 * depth + PICK(&suite->random, 0, 2, 64), last = (rows - 1) * ld + 2 * depth;
    guarded query = guarded_new((size_t)(dim * b->n_lanes) * 4, 4, c.flush_end),
            packed = guarded_new((size_t)(depth * b->n_lanes) * 2, 4, c.flush_end),
            keys = guarded_new((size_t)last, 2, c.flush_end), tile = guarded_new((size_t)(rows * b->n_lanes) * 4, 4, c.flush_end);
    fill_bf16(suite, &query, 1);
    fill_bf16(suite, &keys, 0);
    for (int64_t k = 0; k < rows; k++)
        for (int64_t d = 0; d < depth; d++)
            if (k >= b->n_keys || d >= dim) set_half(&keys, k * ld + 2 * d, k >= b->n_keys ? NAN : 0);
    const int tiny = random_below(&suite->random, 4) == 0; /* a subnormal number counts as zero, whatever it meets */
    if (tiny) {
        *(float *)query.data = 0x1p-127f;
        set_half(&keys, 0, 0x1p120f);
    }
    b->query = query.data, b->query_tiles = packed.data, b->key_tiles = keys.data, b->key_tiles_bytes = ld, b->tile = tile.data;
    check_begin("%s tile score keys %d lanes %d D %d", suite->isa->name, b->n_keys, b->n_lanes, (int)dim);
    RUN(suite, tiles->enter(); tiles->pack_query(b, packed.data); tiles->score(b); tiles->leave());
    for (int k = 0; k < b->n_keys && !check_failed(); k++)
        for (int lane = 0; lane < b->n_lanes; lane++) {
            wide sum = 0, size = 0;
            for (int64_t d = 0; d < dim; d++) {
                wide x = real_get(suite, query.data, d * b->n_lanes + lane), term = x * get_half(&keys, k * ld + 2 * d);
                if (fabsl(x) < 0x1p-126L) continue;
                sum += term;
                size += fabsl(term);
            }
            check_close(real_get(suite, tile.data, (int64_t)k * b->n_lanes + lane), sum,
                        gamma_of(dim, suite->u) * size + dim * suite->flushed, "tile", k, lane);
        }
    check(b->multiplier == 1, "a score does not touch the multiplier");
    guarded *const all[] = {&query, &packed, &keys, &tile};
    for (int i = 0; i < 4; i++) guarded_free(all[i]);
}

/* Rows of values as they are stored, some of them NaN or infinite, and the same as reals. */
static void test_sum(suite *suite, const fov_tiles *tiles)
{
    random_state *random = &suite->random;
    tile_case c = case_new(suite);
    fov_block *b = &c.block;
    int64_t dim = b->value_dim, columns = whole(dim, FOV_TILE_KEYS), depth = whole(b->n_keys, FOV_TILE_DEPTH);
    int64_t ld = 2 * dim + PICK(random, 0, 2, 30), n_lanes = b->n_lanes;
    guarded stored = guarded_new((size_t)((b->n_keys - 1) * ld + 2 * dim), 2, c.flush_end),
            packed = guarded_new((size_t)(columns * depth) * 2, 4, c.flush_end),
            reals = guarded_new((size_t)(b->n_keys * dim) * 4, 4, c.flush_end),
            tile = guarded_new((size_t)(depth * n_lanes) * 4, 4, c.flush_end),
            out = guarded_new((size_t)(columns * n_lanes) * 4, 4, c.flush_end);
    fill_bf16(suite, &stored, 0);
    b->has_rounded_weights = (int)random_below(random, 2);
    if (b->has_rounded_weights) fill_bf16(suite, &tile, 1);
    else real_fill(suite, tile.data, depth * n_lanes, 1);
    real_fill(suite, out.data, columns * n_lanes, 1);
    int n_bad = random_below(random, 3) ? 0 : 3;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < n_bad; i++)
        set_half(&stored, random_below(random, b->n_keys) * ld + 2 * random_below(random, dim), bad[i]);
    for (int k = 0; k < b->n_keys; k++)
        for (int64_t d = 0; d < dim; d++) real_set(suite, reals.data, k * dim + d, (double)get_half(&stored, k * ld + 2 * d));
    uint32_t *attend = random_attend(suite, b);
    for (int64_t at = 0; at < (int64_t)b->n_keys * n_lanes; at++) /* what is not attended has weight 0 */
        if (!attends(b, attend, at)) real_set(suite, tile.data, at, 0);
    wide *weights = reals_copy(suite, &tile), *before = reals_copy(suite, &out);
    b->tile = tile.data, b->value = reals.data, b->value_ld = dim, b->accumulators = out.data, b->value_tiles = packed.data;
    check_begin("%s tile sum keys %d lanes %d Dv %d ld %d bad %d rounded %d", suite->isa->name, b->n_keys, b->n_lanes, (int)dim,
                (int)ld, n_bad, b->has_rounded_weights);
    int finite = 0;
    RUN(suite, tiles->enter(); finite = tiles->pack_values(stored.data, ld, b->n_keys, dim, packed.data);
        if (n_bad) tiles->add_not_finite(b, attend); tiles->weighted_sum(b); tiles->leave());
    check(finite == !n_bad, "pack_values returned %d", finite);
    for (int64_t d = 0; d < dim && !check_failed(); d++)
        for (int lane = 0; lane < n_lanes; lane++) {
            wide sum = before[d * n_lanes + lane], size = fabsl(sum);
            for (int k = 0; k < b->n_keys; k++) {
                if (!attends(b, attend, (int64_t)k * n_lanes + lane)) continue;
                wide w = (wide)fov_bf16_to_f32(fov_f32_to_bf16((float)weights[(int64_t)k * n_lanes + lane]));
                wide term = w * get_half(&stored, k * ld + 2 * d);
                sum += term;
                size += fabsl(term);
            }
            wide bound = isfinite(size) ? gamma_of(b->n_keys + 1, suite->u) * size + (b->n_keys + 1) * suite->flushed : 0;
            check_close(real_get(suite, out.data, d * n_lanes + lane), sum, bound, "accumulators", lane, d);
        }
    free(weights);
    free(before);
    free(attend);
    guarded *const all[] = {&stored, &packed, &reals, &tile, &out};
    for (int i = 0; i < 5; i++) guarded_free(all[i]);
}

/* Weights as bf16 numbers, within half a step of what `tile` makes, and their own sum. */
static void test_rounded(suite *suite, int activation)
{
    const fov_activation *entry = &suite->kernels->activation[activation];
    if (!entry->tile_rounded) return;
    kernel_block exact, rounded;
    kernel_block_init(&exact, suite, 0);
    kernel_block_init(&rounded, suite, 0);
    fov_block *a = &exact.block, *b = &rounded.block;
    int64_t n = (int64_t)a->n_steps * a->n_lanes;
    b->n_keys = b->n_steps = a->n_keys;
    b->n_lanes = b->n_rows = a->n_lanes;
    a->multiplier = b->multiplier = 1;
    guarded tile = reals_new(suite, n), state[3];
    real_fill(suite, tile.data, n, PICK(&suite->random, 1, 20, 100));
    for (int i = 0; i < 4; i++) real_set(suite, tile.data, random_below(&suite->random, n), i == 3 ? NAN : -INFINITY);
    memcpy(a->tile, tile.data, (size_t)n * 4);
    for (int i = 0; i < 3; i++) state[i] = reals_new(suite, a->n_lanes);
    b->tile = tile.data, b->row_max = state[0].data, b->row_sum = state[1].data, b->row_factor = state[2].data;
    check_begin("%s %s rounded keys %d lanes %d", suite->isa->name, fov_activation_name(activation), a->n_keys, a->n_lanes);
    RUN(suite, entry->init(a); entry->init(b); entry->tile(a); entry->tile_rounded(b));
    for (int lane = 0; lane < a->n_lanes && !check_failed(); lane++) {
        wide sum = 0;
        for (int k = 0; k < a->n_keys; k++) {
            int64_t at = (int64_t)k * a->n_lanes + lane;
            wide w = real_get(suite, a->tile, at), r = real_get(suite, b->tile, at);
            uint32_t bits = fov_bits_of(((const float *)b->tile)[at]);
            check((bits & 0xffff) == 0 || isnan(r), "weight %#x is no bf16 number", bits);
            check(w != 1 || r == 1, "a weight of 1 becomes %Lg", r);
            check_close(r, w, (U_BF16 + 4 * suite->u) * w + suite->flushed, "weights", k, lane);
            sum += r;
        }
        check(real_get(suite, a->row_max, lane) == real_get(suite, b->row_max, lane), "another maximum");
        check_close(real_get(suite, b->row_sum, lane), sum, gamma_of(a->n_keys, suite->u) * sum, "row_sum", lane, 0);
    }
    guarded_free(&tile);
    for (int i = 0; i < 3; i++) guarded_free(&state[i]);
    kernel_block_free(&exact);
    kernel_block_free(&rounded);
}

void test_tile_products(suite *suite)
{
    const fov_tiles *tiles = suite->isa->tiles;
    if (suite->real != FOV_F32) return;
    for (int activation = 0; activation < FOV_N_ACTIVATIONS; activation++)
        for (int repeat = 0; repeat < 60; repeat++) test_rounded(suite, activation);
    if (!tiles) return;
    check_begin("%s tiles", suite->isa->name);
    check(tiles->check() == 1, "a product of tiles is wrong");
    for (int repeat = 0; repeat < 200; repeat++) {
        test_score(suite, tiles);
        test_sum(suite, tiles);
    }
}
