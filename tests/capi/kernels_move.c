/* Moves between storage types and reals, all_finite and the floating point environment of one ISA. Moves are exact: a load
 * changes nothing, a store rounds to nearest, ties to even. */
#include <fenv.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernel_block.h"

/* Numbers of every magnitude: subnormal, tie and overflow of every storage type among them. */
static double any_number(random_state *random)
{
    double x = ldexp(random_uniform(random, 1, 2), (int)random_below(random, 300) - 150);
    if (random_below(random, 3) == 0) x = (double)(float)(_Float16)random_uniform(random, 0, 4) + 0x1p-12; /* near ties */
    if (random_below(random, 20) == 0) x = random_below(random, 2) ? INFINITY : NAN;
    return random_below(random, 2) ? x : -x;
}

static int same(wide a, wide b) { return a == b || (isnan(a) && isnan(b)); }

/* What a real becomes when it is stored as `dtype`. */
static wide stored(double real, int dtype)
{
    char element[8];
    dtype_store(element, dtype, real);
    return dtype_load(element, dtype);
}

/* 1: `got` is the `from` number x rounded to `dtype`. On the way from f64 to a narrower type, tasks flush what is below the normal
 * range of f32. */
static int rounds_to(int from, wide x, int dtype, wide got)
{
    int narrows = from == FOV_F64 && dtype != FOV_F64;
    return same(got, stored((double)x, dtype)) || (narrows && fabsl(x) < 0x1p-126L && got == 0);
}

static void test_rows(suite *suite, int dtype)
{
    random_state *random = &suite->random;
    const fov_moves *moves = &suite->kernels->moves[dtype];
    int item = (int)dtype_size(dtype), v = suite->kernels->vector_lanes;
    int64_t n = PICK(random, 0, 1, 2, 3, v - 1, v, v + 1, 2 * v + 1, 3 * v - 1, 65, 128);
    int64_t step = PICK(random, item, item, -item, 2 * item, item + 1, 0), reach = n > 0 ? (n - 1) * llabs(step) : -item;
    check_begin("%s %s row moves %s n %d step %d", suite->isa->name, dtype_name(suite->real), dtype_name(dtype), (int)n,
                (int)step);
    guarded storage = guarded_new((size_t)(reach + item), 1, (int)random_below(random, 2));
    guarded reals = reals_new(suite, n);
    char *source = storage.data + (step < 0 ? reach : 0);
    for (int64_t i = 0; i < n; i++) dtype_store(source + i * step, dtype, any_number(random));
    RUN(suite, moves->row_in(source, step, n, reals.data));
    for (int64_t i = 0; i < n; i++)
        check(rounds_to(dtype, dtype_load(source + i * step, dtype), suite->real, real_get(suite, reals.data, i)),
              "row_in: element %d is %Lg", (int)i, real_get(suite, reals.data, i));

    for (int64_t i = 0; i < n; i++) real_set(suite, reals.data, i, any_number(random));
    memset(storage.data, 0xA5, storage.size);
    RUN(suite, moves->row_out(reals.data, n, source, step));
    for (int64_t i = step == 0 && n > 0 ? n - 1 : 0; i < n; i++) {
        wide got = dtype_load(source + i * step, dtype), real = real_get(suite, reals.data, i);
        check(rounds_to(suite->real, real, dtype, got), "row_out: %.17Lg becomes %.17Lg", real, got);
    }
    guarded_free(&storage);
    guarded_free(&reals);
}

static void test_rows_in(suite *suite, int dtype)
{
    random_state *random = &suite->random;
    const int item = (int)dtype_size(dtype), v = suite->kernels->vector_lanes;
    const int64_t n_rows = random_below(random, 6), n_columns = PICK(random, 0, 1, v - 1, v, 2 * v + 1, 65);
    const int64_t step = PICK(random, item, item, 2 * item, -item), apart = llabs(step) * n_columns + PICK(random, 0, 0, 1, 24);
    const int64_t row_bytes = random_below(random, 2) ? apart : -apart;
    check_begin("%s %s rows_in %s %d x %d step %d rows %d apart", suite->isa->name, dtype_name(suite->real), dtype_name(dtype),
                (int)n_rows, (int)n_columns, (int)step, (int)row_bytes);
    const int64_t empty = n_rows == 0 || n_columns == 0, last_row = empty ? 0 : n_rows - 1, last = empty ? 0 : n_columns - 1;
    guarded storage = guarded_new((size_t)(last_row * apart + last * llabs(step) + item), 1, (int)random_below(random, 2));
    guarded reals = reals_new(suite, n_rows * n_columns);
    const char *source = storage.data + (row_bytes < 0 ? last_row * apart : 0) + (step < 0 ? last * -step : 0);
    for (int64_t i = 0; i < n_rows * n_columns; i++)
        dtype_store((char *)source + i / n_columns * row_bytes + i % n_columns * step, dtype, any_number(random));
    RUN(suite, suite->kernels->moves[dtype].rows_in(source, row_bytes, step, n_rows, n_columns, reals.data));
    for (int64_t i = 0; i < n_rows * n_columns; i++)
        check(rounds_to(dtype, dtype_load(source + i / n_columns * row_bytes + i % n_columns * step, dtype), suite->real,
                        real_get(suite, reals.data, i)),
              "element %d is %Lg", (int)i, real_get(suite, reals.data, i));
    guarded_free(&storage);
    guarded_free(&reals);
}

#define MAX_LANES 64

/* tile * multiplier + source: the multiplier and the source round to reals, then the sum; the source, the tile and the result may each be
 * flushed to zero. */
static void test_gather_add(suite *suite, int dtype, char *const *lanes, int64_t step, int64_t n, int n_lanes)
{
    random_state *random = &suite->random;
    double multiplier = PICK(random, 1.0, 0.125, 0.3);
    guarded tile = reals_new(suite, n * n_lanes);
    for (int64_t i = 0; i < n * n_lanes; i++) real_set(suite, tile.data, i, any_number(random));
    wide *before = reals_copy(suite, &tile);
    RUN(suite, suite->kernels->moves[dtype].gather_add((const char *const *)lanes, step, n, n_lanes, multiplier, tile.data));
    for (int64_t i = 0; i < n * n_lanes; i++) {
        const char *lane = lanes[i % n_lanes];
        wide got = real_get(suite, tile.data, i), added = lane ? dtype_load(lane + i / n_lanes * step, dtype) : 0;
        wide most = suite->real == FOV_F64 ? (wide)DBL_MAX : (wide)FLT_MAX, was = before[i] * (wide)multiplier;
        if (added == -(wide)INFINITY || fabsl(added) > most || (isinf(before[i]) && isinf(added))) {
            check(added > -most || got == -(wide)INFINITY, "gather_add: -inf becomes %Lg", got);
            continue;
        }
        if (fabsl(was + added) > most / 2) continue; /* may overflow or not */
        check_close(got, was + added, gamma_of(4, suite->u) * (fabsl(was) + fabsl(added)) + 3 * suite->flushed, "gather_add",
                    (int)(i / n_lanes), (int)(i % n_lanes));
    }
    free(before);
    guarded_free(&tile);
}

static void test_tiles(suite *suite, int dtype)
{
    random_state *random = &suite->random;
    const fov_moves *moves = &suite->kernels->moves[dtype];
    int item = (int)dtype_size(dtype), v = suite->kernels->vector_lanes;
    int n_lanes = v * (int)(1 + random_below(random, suite->kernels->max_vectors)), all = (int)random_below(random, 2);
    int64_t n = PICK(random, 0, 1, 2, 3, v - 1, v, v + 1, 2 * v + 1, 3 * v - 1, 65);
    int64_t step = PICK(random, item, item, -item, 2 * item, item + 1), reach = n > 0 ? (n - 1) * llabs(step) : -item;
    check_begin("%s %s tile moves %s steps %d step %d lanes %d", suite->isa->name, dtype_name(suite->real), dtype_name(dtype),
                (int)n, (int)step, n_lanes);
    guarded storage[MAX_LANES] = {{0}};
    char *lanes[MAX_LANES] = {0};
    for (int lane = 0; lane < n_lanes; lane++) {
        storage[lane] = guarded_new((size_t)(reach + item), 1, (int)random_below(random, 2));
        if (all || random_below(random, 4)) lanes[lane] = storage[lane].data + (step < 0 ? reach : 0);
        for (int64_t i = 0; lanes[lane] && i < n; i++) dtype_store(lanes[lane] + i * step, dtype, any_number(random));
    }
    guarded tile = reals_new(suite, n * n_lanes);
    RUN(suite, moves->gather((const char *const *)lanes, step, n, n_lanes, tile.data));
    for (int64_t i = 0; i < n * n_lanes; i++) {
        const char *lane = lanes[i % n_lanes];
        wide got = real_get(suite, tile.data, i), x = lane ? dtype_load(lane + i / n_lanes * step, dtype) : 0;
        check(rounds_to(dtype, x, suite->real, got), "gather: step %d lane %d is %Lg, expected %Lg", (int)(i / n_lanes),
              (int)(i % n_lanes), got, x);
        real_set(suite, tile.data, i, any_number(random));
    }
    test_gather_add(suite, dtype, lanes, step, n, n_lanes);
    for (int lane = 0; lane < n_lanes; lane++)
        if (storage[lane].size) memset(storage[lane].data, 0xA5, storage[lane].size);
    RUN(suite, moves->scatter(tile.data, n, n_lanes, lanes, step));
    for (int64_t i = 0; i < n * n_lanes; i++) {
        const char *lane = lanes[i % n_lanes];
        if (!lane) continue;
        wide got = dtype_load(lane + i / n_lanes * step, dtype), real = real_get(suite, tile.data, i);
        check(rounds_to(suite->real, real, dtype, got), "scatter: %.17Lg becomes %.17Lg", real, got);
    }
    for (int lane = 0; lane < n_lanes; lane++) {
        for (size_t i = 0; !lanes[lane] && i < storage[lane].size; i++)
            check((unsigned char)storage[lane].data[i] == 0xA5, "scatter: lane %d without a pointer was written", lane);
        guarded_free(&storage[lane]);
    }
    guarded_free(&tile);
}

/* Every bit pattern of a 16-bit type, in one row. */
static void test_all_patterns(suite *suite, int dtype)
{
    enum { N = 65536 };
    check_begin("%s %s all patterns of %s", suite->isa->name, dtype_name(suite->real), dtype_name(dtype));
    uint16_t *source = malloc(N * sizeof *source), *target = malloc(N * sizeof *target);
    guarded reals = reals_new(suite, N);
    for (int i = 0; i < N; i++) source[i] = (uint16_t)i;
    RUN(suite, suite->kernels->moves[dtype].row_in((const char *)source, 2, N, reals.data));
    RUN(suite, suite->kernels->moves[dtype].row_out(reals.data, N, (char *)target, 2));
    for (int i = 0; i < N; i++) {
        wide want = dtype_load(&source[i], dtype);
        check(same(real_get(suite, reals.data, i), want), "pattern %#x loads as %Lg", i, real_get(suite, reals.data, i));
        wide back = dtype_load(&target[i], dtype);
        int sign_kept = isnan(want) || signbit(back) == signbit(want);
        check(rounds_to(suite->real, want, dtype, back) && sign_kept, "pattern %#x comes back as %#x", i, target[i]);
    }
    guarded_free(&reals);
    free(source);
    free(target);
}

static void test_all_finite(suite *suite)
{
    random_state *random = &suite->random;
    kernel_block b;
    kernel_block_init(&b, suite, 0);
    const fov_block *block = &b.block;
    int bad = block->value_dim > 0 && random_below(random, 2), answer;
    check_begin("%s %s all_finite %d x %d ld %d%s", suite->isa->name, dtype_name(suite->real), block->n_keys,
                (int)block->value_dim, (int)block->value_ld, bad ? " with a NaN or infinity" : "");
    for (int64_t i = 0; i < reals_in(suite, &b.memory[VALUE]); i++)
        if (i % block->value_ld >= block->value_dim) real_set(suite, b.memory[VALUE].data, i, NAN); /* between the rows */
    if (bad) {
        static const double specials[] = {NAN, INFINITY, -INFINITY};
        int64_t key = random_below(random, block->n_keys), column = random_below(random, block->value_dim);
        real_set(suite, b.memory[VALUE].data, key * block->value_ld + column, specials[random_below(random, 3)]);
    }
    RUN(suite, answer = suite->kernels->all_finite(block->value, block->value_ld, block->n_keys, block->value_dim));
    check((answer != 0) == !bad, "the answer is %d", answer);
    kernel_block_free(&b);
}

static void test_pack_bits(suite *suite)
{
    random_state *random = &suite->random;
    int key_lanes = (int)PICK(random, 1, 1, 1, 2, 4, 16), n_lanes = 16 * (int)PICK(random, 1, 2, 3),
        last_row = n_lanes / key_lanes;
    int n = (int)PICK(random, 1, 2, 7, 31, 32, 33, 63, 64, 65, 100, 256), n_rows = 1 + (int)random_below(random, last_row);
    int64_t step = PICK(random, 1, 1, 1, 3, -1, 0), reach = (n - 1) * llabs(step);
    int n_words = ((n + key_lanes - 1) / key_lanes + 31) / 32, shared = (int)PICK(random, 1, 1, 2, 100); /* rows of one pointer */
    check_begin("%s %s pack_bits rows %d shared by %d, keys %d step %d, %d lanes of %d", suite->isa->name,
                dtype_name(suite->real), n_rows, shared, n, (int)step, key_lanes, n_lanes);
    guarded bytes[FOV_MAX_LANES], words = guarded_new((size_t)(n_words * n_lanes) * sizeof(uint32_t), sizeof(uint32_t), 1);
    const char *rows[FOV_MAX_LANES] = {NULL};
    for (int row = 0; row < n_rows; row++) {
        bytes[row] = guarded_new((size_t)(reach + 1), 1, (int)random_below(random, 2));
        char *source = bytes[row].data + (step < 0 ? reach : 0);
        for (int i = 0; i < n; i++) source[i * step] = (char)PICK(random, 0, 1, 2, 128, 255); /* any non-zero byte is true */
        rows[row] = row % shared ? rows[row - 1] : source;
    }
    RUN(suite, suite->kernels->pack_bits(rows, n_rows, step, n, key_lanes, (uint32_t *)words.data, n_lanes));
    for (int lane = 0; lane < n_lanes; lane++)
        for (int s = 0; s < 32 * n_words; s++) {
            uint32_t bit = ((const uint32_t *)words.data)[s / 32 * n_lanes + lane] >> (s % 32) & 1u;
            int row = lane / key_lanes, key = s * key_lanes + lane % key_lanes;
            check(bit == (row < n_rows && key < n && rows[row][key * step] != 0), "lane %d step %d: bit is %u", lane, s, bit);
        }
    for (int row = 0; row < n_rows; row++) guarded_free(&bytes[row]);
    guarded_free(&words);
}

void test_moves(suite *suite)
{
    for (int dtype = 0; dtype < FOV_N_DTYPES; dtype++)
        for (int repeat = 0; repeat < 60; repeat++) {
            test_rows(suite, dtype);
            test_rows_in(suite, dtype);
            test_tiles(suite, dtype);
        }
    test_all_patterns(suite, FOV_F16);
    test_all_patterns(suite, FOV_BF16);
    for (int repeat = 0; repeat < 60; repeat++) {
        test_pack_bits(suite);
        test_all_finite(suite);
    }
}

void test_environment(suite *suite)
{
    check_begin("%s enter and leave", suite->isa->name);
    volatile double one = 1, small = 0x1p-60, inside = 0;
    fesetround(FE_UPWARD);
    RUN(suite, inside = one + small);
    int after = fegetround();
    fesetround(FE_TONEAREST);
    check(inside == 1, "a task does not round to nearest");
    check(after == FE_UPWARD, "the caller's rounding mode is lost");
}
