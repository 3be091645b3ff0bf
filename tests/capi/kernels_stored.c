/* Kernels that read keys and values as they are stored: the same bits as those that read the reals which the moves make of them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernel_block.h"

static const int STORED[] = {FOV_F16, FOV_BF16, FOV_INT8, FOV_F8_E4M3};

static int bytes_of(int dtype) { return dtype == FOV_F16 || dtype == FOV_BF16 ? 2 : 1; }

static int has_scales(int dtype) { return dtype == FOV_INT8 || dtype == FOV_F8_E4M3; }

/* An e4m3 number by its definition: sign, 4 bits of exponent with bias 7, 3 of fraction; one NaN of each sign. */
static wide f8_of(unsigned bits)
{
    int exponent = bits >> 3 & 15, fraction = bits & 7;
    wide size = exponent ? ldexpl(1 + (wide)fraction / 8, exponent - 7) : ldexpl((wide)fraction / 8, -6);
    if ((bits & 0x7F) == 0x7F) return NAN;
    return bits & 0x80 ? -size : size;
}

/* Every pattern of a type at one scale, at steps that go through vectors and at others: one rounding, of the product. */
static void test_patterns(suite *suite, int dtype, float scale, int step)
{
    check_begin("%s %s all patterns of %s times %g, step %d", suite->isa->name, dtype_name(suite->real), dtype_name(dtype), scale,
                step);
    guarded storage = guarded_new((size_t)(255 * abs(step) + 1), 1, 1), reals = reals_new(suite, 256);
    char *source = storage.data + (step < 0 ? -255 * step : 0);
    for (int i = 0; i < 256; i++) source[i * step] = (char)i;
    RUN(suite, suite->kernels->quantized_in[dtype - FOV_INT8](source, step, 256, scale, reals.data));
    for (int i = 0; i < 256; i++) {
        wide x = dtype == FOV_INT8 ? (wide)(int8_t)i : f8_of((unsigned)i), got = real_get(suite, reals.data, i);
        wide want = suite->real == FOV_F32 ? (wide)((float)x * scale) : (wide)((double)x * (double)scale);
        check(got == want || (isnan(got) && isnan(want)) || (fabsl(want) < suite->flushed && got == 0),
              "pattern %#x becomes %Lg, expected %Lg", i, got, want);
    }
    guarded_free(&storage);
    guarded_free(&reals);
}

/* Rows of one type between unreadable pages, with their scales, and the reals that they stand for. */
typedef struct stored_rows {
    guarded storage, scales;
    fov_stored stored;
} stored_rows;

static stored_rows stored_new(suite *suite, int dtype, int n_rows, int64_t n_columns, int64_t ld, void *reals)
{
    random_state *random = &suite->random;
    int item = bytes_of(dtype), end = (int)random_below(random, 2);
    int64_t row_bytes = n_columns * item + PICK(random, 0, 0, item, 3), scale_bytes = PICK(random, 4, 4, 12, 5, 0);
    stored_rows rows = {.storage = guarded_new((size_t)((n_rows - 1) * row_bytes + n_columns * item), 1, end),
                        .scales = guarded_new((size_t)((n_rows - 1) * scale_bytes + 4), 1, end)};
    int scaled = has_scales(dtype) && random_below(random, 4);
    static const float beyond[] = {0x1p-131F, -0x1p-113F, 0x1p121F, -INFINITY, NAN}; /* scales that cannot take a factor on */
    const int wild = random_below(random, 3) == 0;
    for (int i = 0; i < n_rows; i++) {
        float scale = (float)random_uniform(random, -2, 2);
        if (random_below(random, 8) == 0) scale = wild ? beyond[random_below(random, 5)] : 0;
        memcpy(rows.scales.data + i * scale_bytes, &scale, sizeof scale);
    }
    for (int i = 0; i < n_rows; i++)
        for (int64_t c = 0; c < n_columns; c++) {
            char *at = rows.storage.data + i * row_bytes + c * item;
            if (has_scales(dtype)) *at = (char)random_below(random, 256);
            else dtype_store(at, dtype, random_uniform(random, -2, 2));
        }
    rows.stored = (fov_stored){.dtype = dtype,
                               .rows = rows.storage.data,
                               .row_bytes = row_bytes,
                               .scales = scaled ? rows.scales.data : NULL,
                               .scale_bytes = scale_bytes};
    for (int i = 0; i < n_rows; i++) {
        const char *row = rows.storage.data + i * row_bytes;
        char *to = (char *)reals + i * ld * suite->kernels->real_bytes;
        float scale = 1;
        if (scaled) memcpy(&scale, rows.scales.data + i * scale_bytes, sizeof scale);
        if (has_scales(dtype)) RUN(suite, suite->kernels->quantized_in[dtype - FOV_INT8](row, item, n_columns, scale, to));
        else RUN(suite, suite->kernels->moves[dtype].row_in(row, item, n_columns, to));
    }
    return rows;
}

static void stored_free(stored_rows *rows)
{
    guarded_free(&rows->storage);
    guarded_free(&rows->scales);
}

/* Few rows whose columns fill whole vectors, as the plan sees to. */
static void whole_vectors(kernel_block *b, suite *suite)
{
    for (;;) {
        kernel_block_init(b, suite, 1);
        int lanes = suite->kernels->vector_lanes;
        if (b->block.head_dim && b->block.value_dim && b->block.head_dim % lanes == 0 && b->block.value_dim % lanes == 0) return;
        kernel_block_free(b);
    }
}

/* NaN patterns may differ, from one conversion to another. */
static int same_bits(const suite *suite, const wide *before, const guarded *after)
{
    for (int64_t i = 0; i < reals_in(suite, after); i++) {
        wide x = before[i], y = real_get(suite, after->data, i);
        if (!(x == y || (isnan(x) && isnan(y)))) return 0;
    }
    return 1;
}

static void test_score(suite *suite, int dtype)
{
    const fov_score *entry = &suite->kernels->score[FOV_SCORE_INDEX_dot];
    kernel_block b;
    whole_vectors(&b, suite);
    fov_block *block = &b.block;
    check_begin("%s score dot from %s keys %d rows %d D %d", suite->isa->name, dtype_name(dtype), block->n_keys, block->n_rows,
                (int)block->head_dim);
    stored_rows keys = stored_new(suite, dtype, block->n_keys, block->head_dim, block->key_ld, b.memory[KEY].data);
    block->stored_key = keys.stored;
    RUN(suite, entry->rows(block));
    wide *expected = reals_copy(suite, &b.memory[TILE]);
    real_fill(suite, b.memory[TILE].data, reals_in(suite, &b.memory[TILE]), 1);
    RUN(suite, entry->rows_stored(block));
    check(same_bits(suite, expected, &b.memory[TILE]), "the logits differ");
    free(expected);
    stored_free(&keys);
    kernel_block_free(&b);
}

static void test_combine(suite *suite, int dtype)
{
    const fov_accumulate *entry = &suite->kernels->combine[FOV_COMBINE_INDEX_weighted_sum].rows;
    kernel_block b;
    whole_vectors(&b, suite);
    fov_block *block = &b.block;
    check_begin("%s weighted sum from %s keys %d rows %d Dv %d", suite->isa->name, dtype_name(dtype), block->n_keys,
                block->n_rows, (int)block->value_dim);
    stored_rows values = stored_new(suite, dtype, block->n_keys, block->value_dim, block->value_ld, b.memory[VALUE].data);
    block->stored_value = values.stored;
    size_t size = b.memory[ACCUMULATORS].size;
    char *before = malloc(size + 1);
    memcpy(before, b.memory[ACCUMULATORS].data, size);
    RUN(suite, entry->tile(block));
    wide *expected = reals_copy(suite, &b.memory[ACCUMULATORS]);
    memcpy(b.memory[ACCUMULATORS].data, before, size);
    RUN(suite, entry->tile_stored(block));
    check(same_bits(suite, expected, &b.memory[ACCUMULATORS]), "the sums differ");
    free(before);
    free(expected);
    stored_free(&values);
    kernel_block_free(&b);
}

void test_stored(suite *suite)
{
    static const float scales[] = {1, 0.0123F, -3e37F, 0x1p-120F, INFINITY, NAN};
    for (int dtype = FOV_INT8; dtype <= FOV_F8_E4M3; dtype++)
        for (int i = 0; i < (int)(sizeof scales / sizeof *scales); i++)
            for (int step = -1; step <= 3; step++)
                if (step) test_patterns(suite, dtype, scales[i], step);
    int stores = suite->kernels->score[FOV_SCORE_INDEX_dot].rows_stored != NULL;
    check_begin("%s %s stored rows", suite->isa->name, dtype_name(suite->real));
    check(stores == (suite->real == FOV_F32), "they are for f32");
    for (int i = 0; stores && i < (int)(sizeof STORED / sizeof *STORED); i++)
        for (int repeat = 0; repeat < 40; repeat++) {
            test_score(suite, STORED[i]);
            test_combine(suite, STORED[i]);
        }
}
