/* Reals split into planes of bf16 for tile products, against plain loops; NaN and infinities among them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernel_block.h"

static const wide U_BF16 = 0x1p-8L;

static int64_t whole(int64_t n, int64_t of) { return (n + of - 1) / of * of; }

/* The relative error of a product of two split numbers, and of its sum over n. */
static wide error_of(const suite *suite, int n_planes, int64_t n)
{
    static const int n_products[] = {0, 1, 3, 6};
    const wide e = powl(U_BF16, n_planes),
               left_out = n_planes == 1 ? 0 : (n_planes - 1) * powl(U_BF16, n_planes) * powl(1 + U_BF16, 3);
    return (1 + e) * (1 + e) - 1 + left_out + 1.02L * gamma_of(n_products[n_planes] * n + 1, suite->u);
}

static int spoil(suite *suite, guarded *reals, int64_t n)
{
    static const double bad[] = {NAN, INFINITY, -INFINITY};
    int n_bad = random_below(&suite->random, 3) ? 0 : 3;
    for (int i = 0; i < n_bad; i++) real_set(suite, reals->data, random_below(&suite->random, n), bad[i]);
    return n_bad;
}

static fov_block block_new(suite *suite)
{
    random_state *random = &suite->random;
    fov_block b = {.key_lanes = 1, .multiplier = 1};
    b.n_keys = b.n_steps = (int)PICK(random, 1, 2, 3, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129);
    b.n_lanes = b.n_rows = 16 * (int)(1 + random_below(random, 3));
    b.head_dim = PICK(random, 16, 17, 31, 32, 33, 63, 64, 65, 80, 127, 128, 129);
    b.value_dim = PICK(random, 16, 17, 31, 32, 33, 48, 63, 64, 65, 80, 127, 128);
    b.n_planes = (int)(1 + random_below(random, 3));
    return b;
}

static void test_score(suite *suite, const fov_tiles *tiles)
{
    int flush_end = (int)random_below(&suite->random, 2);
    fov_block block = block_new(suite), *b = &block;
    int64_t dim = b->head_dim, depth = whole(dim, FOV_TILE_DEPTH), rows = whole(b->n_keys, FOV_TILE_KEYS);
    int64_t ld = dim + PICK(&suite->random, 0, 1, 7), row = 2 * b->n_planes * depth;
    guarded query = guarded_new((size_t)(dim * b->n_lanes) * 4, 4, flush_end),
            keys = guarded_new((size_t)((b->n_keys - 1) * ld + dim) * 4, 4, flush_end),
            query_tiles = guarded_new((size_t)(depth * b->n_lanes * b->n_planes) * 2, 4, flush_end),
            key_tiles = guarded_new((size_t)(rows * row), 4, flush_end),
            tile = guarded_new((size_t)(rows * b->n_lanes) * 4, 4, flush_end);
    real_fill(suite, query.data, dim * b->n_lanes, 1);
    real_fill(suite, keys.data, (b->n_keys - 1) * ld + dim, 1);
    memset(key_tiles.data, 0, (size_t)(rows * row));
    int bad_queries = spoil(suite, &query, dim * b->n_lanes), finite[2] = {-1, -1};
    real_set(suite, keys.data, random_below(&suite->random, dim), 0x1.fffffep127); /* rounds to no bf16 number */
    int bad_keys = ld == dim ? spoil(suite, &keys, b->n_keys * dim) : 0;
    b->query = query.data, b->key = keys.data, b->key_ld = ld, b->tile = tile.data;
    b->query_tiles = query_tiles.data, b->key_tiles = key_tiles.data, b->key_tiles_bytes = row;
    check_begin("%s split score keys %d lanes %d D %d planes %d bad %d %d", suite->isa->name, b->n_keys, b->n_lanes, (int)dim,
                b->n_planes, bad_queries, bad_keys);
    RUN(suite, tiles->enter(); finite[0] = tiles->split_query(b, query_tiles.data);
        finite[1] = tiles->split_keys(b, keys.data, ld, b->n_keys, key_tiles.data); tiles->score(b);
        if (bad_queries || bad_keys) tiles->score_not_finite(b); tiles->leave());
    check(finite[0] == !bad_queries && finite[1] == !bad_keys, "finite: %d of queries, %d of keys", finite[0], finite[1]);
    for (int k = 0; k < b->n_keys && !check_failed(); k++)
        for (int lane = 0; lane < b->n_lanes; lane++) {
            wide sum = 0, size = 0;
            for (int64_t d = 0; d < dim; d++) {
                wide term = real_get(suite, query.data, d * b->n_lanes + lane) * real_get(suite, keys.data, k * ld + d);
                sum += term;
                size += fabsl(term);
            }
            wide bound =
                isfinite(size) ? 2 * error_of(suite, b->n_planes, dim) * size + 8 * dim * suite->flushed : 0; /* 2: cut off */
            if (isfinite(size) && size > 0x1p127L) continue; /* may overflow on the way */
            check_close(real_get(suite, tile.data, (int64_t)k * b->n_lanes + lane), sum, bound, "tile", k, lane);
        }
    guarded *const all[] = {&query, &keys, &query_tiles, &key_tiles, &tile};
    for (int i = 0; i < 5; i++) guarded_free(all[i]);
}

static void test_sum(suite *suite, const fov_tiles *tiles)
{
    random_state *random = &suite->random;
    int flush_end = (int)random_below(random, 2);
    fov_block block = block_new(suite), *b = &block;
    int64_t dim = b->value_dim, columns = whole(dim, FOV_TILE_KEYS), depth = whole(b->n_keys, FOV_TILE_DEPTH),
            n_lanes = b->n_lanes;
    guarded values = guarded_new((size_t)(b->n_keys * dim) * 4, 4, flush_end),
            packed = guarded_new((size_t)(columns * depth * b->n_planes) * 2, 4, flush_end),
            tile = guarded_new((size_t)(depth * n_lanes) * 4, 4, flush_end),
            out = guarded_new((size_t)(columns * n_lanes) * 4, 4, flush_end),
            pairs = guarded_new((size_t)(depth * n_lanes) * 6, 4, flush_end);
    real_fill(suite, values.data, b->n_keys * dim, 1);
    real_fill(suite, tile.data, depth * n_lanes, 1);
    real_fill(suite, out.data, columns * n_lanes, 1);
    int n_bad = spoil(suite, &values, b->n_keys * dim), finite = -1;
    uint32_t *attend = random_attend(suite, b);
    for (int64_t at = 0; at < (int64_t)b->n_keys * n_lanes; at++)
        if (!attends(b, attend, at)) real_set(suite, tile.data, at, 0);
    if (b->n_planes > 1 && !random_below(random, 3)) /* an attended key whose weight is infinite */
        for (int64_t at = random_below(random, b->n_keys * n_lanes); at < b->n_keys * n_lanes; at += 1 + b->n_keys * n_lanes / 2)
            if (attends(b, attend, at)) real_set(suite, tile.data, at, INFINITY);
    wide *weights = reals_copy(suite, &tile), *before = reals_copy(suite, &out);
    b->tile = tile.data, b->value = values.data, b->value_ld = dim, b->accumulators = out.data, b->value_tiles = packed.data;
    b->weight_tiles = pairs.data;
    check_begin("%s split sum keys %d lanes %d Dv %d planes %d bad %d", suite->isa->name, b->n_keys, b->n_lanes, (int)dim,
                b->n_planes, n_bad);
    RUN(suite, tiles->enter(); finite = tiles->split_values(b, values.data, dim, b->n_keys, packed.data);
        if (n_bad) tiles->add_not_finite(b, attend); tiles->weighted_sum(b); tiles->leave());
    check(finite == !n_bad, "split_values returned %d", finite);
    for (int64_t d = 0; d < dim && !check_failed(); d++)
        for (int lane = 0; lane < n_lanes; lane++) {
            wide sum = before[d * n_lanes + lane], size = fabsl(sum);
            for (int k = 0; k < b->n_keys; k++) {
                if (!attends(b, attend, (int64_t)k * n_lanes + lane)) continue;
                wide term = weights[(int64_t)k * n_lanes + lane] * real_get(suite, values.data, k * dim + d);
                sum += term;
                size += fabsl(term);
            }
            wide bound =
                isfinite(size) ? error_of(suite, b->n_planes, b->n_keys + 1) * size + 8 * (b->n_keys + 1) * suite->flushed : 0;
            check_close(real_get(suite, out.data, d * n_lanes + lane), sum, bound, "accumulators", lane, d);
        }
    free(weights);
    free(before);
    free(attend);
    guarded *const all[] = {&values, &packed, &tile, &out, &pairs};
    for (int i = 0; i < 5; i++) guarded_free(all[i]);
}

void test_tile_planes(suite *suite)
{
    const fov_tiles *tiles = suite->isa->tiles;
    if (suite->real != FOV_F32 || !tiles) return;
    for (int repeat = 0; repeat < 300; repeat++) {
        test_score(suite, tiles);
        test_sum(suite, tiles);
    }
}
