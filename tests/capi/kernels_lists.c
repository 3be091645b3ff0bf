/* The lists of one ISA against plain loops: collecting the logits that may get a weight, keeping the largest, sums over them. */
#include <math.h>
#include <stdlib.h>

#include "kernel_block.h"

/* 1: v is not below x, NaN above all. */
static int not_below(wide v, wide x) { return !(v < x); }

/* Two tiles are collected one after the other, each after the limits have risen with it. */
static void test_collect(suite *suite, int repeat)
{
    random_state *random = &suite->random;
    const fov_list_kernels *kernels = &suite->kernels->lists;
    kernel_block b;
    kernel_block_init(&b, suite, repeat % 3 == 0);
    fov_block *block = &b.block;
    int64_t size = reals_in(suite, &b.memory[TILE]), capacity = 2 * block->n_keys, stride = capacity + random_below(random, 3);
    double reach = repeat % 4 == 0 ? INFINITY : random_uniform(random, 0.1, 3), multiplier = random_uniform(random, 0.05, 2);
    guarded values = reals_new(suite, (block->n_rows - 1) * stride + capacity), limits = reals_new(suite, block->n_lanes);
    guarded keys = guarded_new((size_t)reals_in(suite, &values) * 4, 4, repeat % 2);
    int32_t *key_of = (int32_t *)keys.data;
    fov_lists lists = {.values = values.data, .keys = key_of, .stride = stride, .limit = limits.data};
    block->multiplier = multiplier;
    check_begin("%s %s lists collect keys %d lanes %d / %d rows %d reach %g multiplier %g", suite->isa->name,
                dtype_name(suite->real), block->n_keys, block->n_lanes, block->key_lanes, block->n_rows, reach, multiplier);
    for (int lane = 0; lane < block->n_lanes; lane++) real_set(suite, block->row_max, lane, -INFINITY);
    RUN(suite, kernels->set_limit(&lists, 0, block->n_lanes, -INFINITY));
    wide max[FOV_MAX_LANES], want_limit[FOV_MAX_LANES];
    int64_t n[FOV_MAX_LANES] = {0};
    for (int row = 0; row < block->n_rows; row++) max[row] = want_limit[row] = -(wide)INFINITY;
    for (int tile = 0; tile < 2; tile++) {
        real_fill(suite, block->tile, size, (double)PICK(random, 1, 5, 100));
        for (int i = 0; i < block->n_lanes; i++) { /* masked, and what arithmetic can leave */
            static const double specials[] = {-INFINITY, -INFINITY, -INFINITY, 0, 1e30, -1e30, NAN, INFINITY};
            real_set(suite, block->tile, random_below(random, size), specials[random_below(random, repeat % 5 ? 6 : 8)]);
        }
        for (int k = block->n_keys; k < block->n_steps * block->key_lanes; k++)
            for (int row = 0; row < block->n_lanes / block->key_lanes; row++)
                real_set(suite, block->tile, tile_at(block, k, row), -INFINITY);
        if (repeat % 2) RUN(suite, kernels->raise(block, &lists, reach));
        for (int row = 0; row < block->n_rows; row++)
            for (int k = 0; k < block->n_keys; k++)
                max[row] = fmaxl(max[row], real_get(suite, block->tile, tile_at(block, k, row)));
        for (int lane = 0; repeat % 2 && lane < block->n_rows * block->key_lanes; lane++) {
            int row = lane / block->key_lanes;
            wide m = max[row], limit = real_get(suite, limits.data, lane), r = (wide)reach / (wide)multiplier;
            check(real_get(suite, block->row_max, lane) == m, "row_max of lane %d is not %Lg", lane, m);
            /* below every logit within reach of the largest; slack: 1e-4 of the reach, 2^-18 of the largest, their roundings */
            wide highest = isinf(reach) ? -(wide)INFINITY : fmaxl(m - r, want_limit[row]);
            wide slack = 2e-4L * r + 0x1p-17L * fabsl(m) + suite->flushed;
            if (isinf(m) && m > 0) check(limit < m, "+inf is not above the limit of lane %d", lane);
            else
                check(limit <= highest && (isinf(highest) || limit >= highest - slack), "limit of lane %d is %Lg, expected %Lg",
                      lane, limit, highest);
        }
        for (int row = 0; row < block->n_rows; row++) want_limit[row] = real_get(suite, limits.data, row * block->key_lanes);
        RUN(suite, kernels->collect(block, tile * 1000, &lists));
        for (int row = 0; row < block->n_rows; row++)
            for (int k = 0; k < block->n_keys; k++) {
                wide x = real_get(suite, block->tile, tile_at(block, k, row));
                if (x <= want_limit[row]) continue;
                int64_t at = row * stride + n[row]++;
                wide got = real_get(suite, values.data, at);
                check(got == x || (isnan(got) && isnan(x)), "value %d of row %d is %Lg, expected %Lg", (int)at, row, got, x);
                check(key_of[at] == tile * 1000 + k, "key %d of row %d is %d, expected %d", (int)at, row, key_of[at], k);
            }
        for (int row = 0; row < block->n_rows; row++)
            check(lists.n[row] == n[row], "row %d has %d, expected %d", row, (int)lists.n[row], (int)n[row]);
    }
    guarded_free(&values);
    guarded_free(&limits);
    guarded_free(&keys);
    kernel_block_free(&b);
}

/* Lists never hold -inf: what is masked is above no limit. kind: 0 any, 1 ties, 2 extremes, 3 NaN too, 4 subnormal. */
static double list_value(suite *suite, int kind)
{
    random_state *random = &suite->random;
    double subnormal = suite->real == FOV_F64 ? 1e-310 : 1e-40, largest = suite->real == FOV_F64 ? 1.7e308 : 3.4e38;
    const double specials[] = {INFINITY, largest, -largest, 0, 1e-30, 1, NAN};
    if (kind == 1) return (double)random_below(random, 4);
    if (kind == 2 || kind == 3)
        return random_below(random, 2) ? specials[random_below(random, kind == 3 ? 7 : 6)] : random_uniform(random, -1, 1);
    return random_uniform(random, -1, 1) * (kind == 4 ? subnormal : 10);
}

static void test_keep(suite *suite, int repeat)
{
    random_state *random = &suite->random;
    int64_t n = PICK(random, 2, 3, 4, 5, 8, 15, 16, 17, 31, 33, 64, 65, 100, 300);
    int64_t k = PICK(random, 1, n - 1, 1 + random_below(random, n - 1));
    int kind = repeat % 5;
    guarded values = reals_new(suite, n), keys = guarded_new((size_t)n * 4, 4, repeat % 2);
    int32_t *key_of = (int32_t *)keys.data;
    for (int64_t i = 0; i < n; i++) {
        real_set(suite, values.data, i, list_value(suite, kind));
        key_of[i] = (int32_t)(3 * i + 7);
    }
    wide *before = reals_copy(suite, &values), got;
    double least;
    check_begin("%s %s lists keep %d of %d kind %d", suite->isa->name, dtype_name(suite->real), (int)k, (int)n, kind);
    RUN(suite, least = suite->kernels->lists.keep(values.data, key_of, n, k));
    int64_t kept = 0, n_nan = 0, above = 0;
    for (int64_t i = 0; i < n; i++) n_nan += isnan(before[i]);
    for (int64_t i = 0; i < n; i++) {
        int64_t rank = 0; /* how many go before i: larger, or equal and earlier */
        for (int64_t j = 0; j < n; j++)
            rank += before[j] > before[i] || (before[j] == before[i] && j < i) || (isnan(before[j]) && !isnan(before[i])) ||
                    (isnan(before[j]) && isnan(before[i]) && j < i);
        above += not_below(before[i], (wide)least);
        if (rank >= k || check_failed()) continue;
        got = real_get(suite, values.data, kept);
        check(got == before[i] || (isnan(got) && isnan(before[i])), "value %d is %.17Lg, expected %.17Lg", (int)kept, got,
              before[i]);
        check(key_of[kept] == 3 * i + 7, "key %d is %d, expected %d", (int)kept, key_of[kept], (int)(3 * i + 7));
        kept++;
    }
    check(above >= k, "%d are above or equal to %g", (int)above, least);
    if (n_nan == 0) { /* and what comes later with that value or less must not displace any of them */
        int64_t more = 0;
        for (int64_t i = 0; i < n; i++) more += before[i] > (wide)least;
        check(more <= k, "%d are above %g", (int)more, least);
    }
    free(before);
    guarded_free(&values);
    guarded_free(&keys);
}

static void test_set_limit(suite *suite)
{
    int n = suite->kernels->vector_lanes, first = (int)random_below(&suite->random, n);
    int width = 1 + (int)random_below(&suite->random, n - first);
    guarded limits = reals_new(suite, n);
    wide *before = reals_copy(suite, &limits);
    fov_lists lists = {.limit = limits.data};
    check_begin("%s %s lists set_limit %d + %d of %d", suite->isa->name, dtype_name(suite->real), first, width, n);
    RUN(suite, suite->kernels->lists.set_limit(&lists, first, width, 0.75));
    for (int i = 0; i < n; i++)
        check(real_get(suite, limits.data, i) == (i >= first && i < first + width ? 0.75L : before[i]), "limit of lane %d", i);
    free(before);
    guarded_free(&limits);
}

static void test_weighted_sum(suite *suite, int repeat)
{
    random_state *random = &suite->random;
    int v = suite->kernels->vector_lanes;
    int64_t dim = PICK(random, 0, 1, 2, 3, v - 1, v, v + 1, 4 * v - 1, 4 * v, 4 * v + 1, 5 * v + 2, 64, 65);
    int64_t n_rows = PICK(random, 1, 2, 7, 40), n = PICK(random, 0, 1, 2, 4, 5, 6, 33), ld = dim + PICK(random, 0, 0, 1, 7);
    guarded rows = reals_new(suite, (n_rows - 1) * ld + dim), weights = reals_new(suite, n), out = reals_new(suite, dim);
    guarded keys = guarded_new((size_t)n * 4, 4, repeat % 2), scaled = reals_new(suite, dim);
    int32_t *key_of = (int32_t *)keys.data;
    for (int64_t i = 0; i < n; i++) key_of[i] = (int32_t)random_below(random, n_rows);
    for (int64_t r = 0; r < n_rows && dim > 0; r++) { /* a row that is not listed does not matter */
        int listed = 0;
        for (int64_t i = 0; i < n; i++) listed |= key_of[i] == r;
        if (!listed) real_set(suite, rows.data, r * ld + random_below(random, dim), NAN);
    }
    wide *before = reals_copy(suite, &out);
    check_begin("%s %s lists sum n %d dim %d ld %d", suite->isa->name, dtype_name(suite->real), (int)n, (int)dim, (int)ld);
    RUN(suite, suite->kernels->lists.weighted_sum(rows.data, ld, key_of, weights.data, n, dim, out.data));
    for (int64_t d = 0; d < dim; d++) {
        wide sum = before[d], size = fabsl(before[d]);
        for (int64_t i = 0; i < n; i++) {
            wide term = real_get(suite, weights.data, i) * real_get(suite, rows.data, key_of[i] * ld + d);
            sum += term;
            size += fabsl(term);
        }
        check_close(real_get(suite, out.data, d), sum, gamma_of(n + 1, suite->u) * size + (wide)(n + 1) * suite->flushed, "out",
                    0, d);
    }
    if (n > 0) {
        RUN(suite, suite->kernels->lists.scaled((char *)rows.data + key_of[0] * ld * suite->kernels->real_bytes, weights.data,
                                                dim, scaled.data));
        for (int64_t d = 0; d < dim; d++) {
            wide want = real_get(suite, weights.data, 0) * real_get(suite, rows.data, key_of[0] * ld + d);
            check_close(real_get(suite, scaled.data, d), want, suite->u * fabsl(want) + suite->flushed, "scaled", 0, d);
        }
    }
    free(before);
    guarded_free(&rows);
    guarded_free(&weights);
    guarded_free(&out);
    guarded_free(&keys);
    guarded_free(&scaled);
}

void test_lists(suite *suite)
{
    for (int repeat = 0; repeat < 120; repeat++) {
        test_collect(suite, repeat);
        test_keep(suite, repeat);
        test_keep(suite, repeat + 1);
        test_set_limit(suite);
        test_weighted_sum(suite, repeat);
    }
}
