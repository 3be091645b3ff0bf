#include "kernel_block.h"

#include <stdlib.h>

wide real_get(const suite *suite, const void *reals, int64_t i)
{
    return dtype_load((const char *)reals + i * suite->kernels->real_bytes, suite->real);
}

void real_set(const suite *suite, void *reals, int64_t i, double value)
{
    dtype_store((char *)reals + i * suite->kernels->real_bytes, suite->real, value);
}

void real_fill(suite *suite, void *reals, int64_t n, double magnitude)
{
    for (int64_t i = 0; i < n; i++) real_set(suite, reals, i, random_uniform(&suite->random, -magnitude, magnitude));
}

guarded reals_new(suite *suite, int64_t n)
{
    int flush_end = (int)random_below(&suite->random, 2);
    size_t size = (size_t)suite->kernels->real_bytes;
    guarded memory = guarded_new((size_t)n * size, size, flush_end);
    real_fill(suite, memory.data, n, 1);
    return memory;
}

int64_t reals_in(const suite *suite, const guarded *memory) { return (int64_t)memory->size / suite->kernels->real_bytes; }

wide *reals_copy(const suite *suite, const guarded *memory)
{
    int64_t n = reals_in(suite, memory);
    wide *copy = malloc((size_t)(n + 1) * sizeof(wide));
    for (int64_t i = 0; i < n; i++) copy[i] = real_get(suite, memory->data, i);
    return copy;
}

wide gamma_of(int64_t n, wide u) { return (wide)n * u / (1 - (wide)n * u); }

void kernel_block_init(kernel_block *b, suite *suite, int by_rows)
{
    random_state *random = &suite->random;
    const fov_kernels *kernels = suite->kernels;
    fov_block *block = &b->block;
    int v = kernels->vector_lanes;
    *b = (kernel_block){0};
    block->n_keys = (int)PICK(random, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 15, 16, 17, 31, 32, 33, 63, 64, 65, FOV_MAX_TILE_KEYS);
    block->key_lanes = 1;
    if (by_rows) { /* 1, 2, 4 or 8 rows share the lanes of a vector evenly */
        block->n_rows = (int)(1 + random_below(random, 2 * v < 8 ? 2 * v : 8)); /* FEW_ROWS of attention/plan.c */
        int padded = block->n_rows > 4 ? 8 : block->n_rows > 2 ? 4 : block->n_rows;
        block->key_lanes = padded < v ? v / padded : 1;
        block->n_lanes = padded * block->key_lanes;
    } else {
        block->n_lanes = v * (int)(1 + random_below(random, kernels->max_vectors));
        block->n_rows = random_below(random, 3) ? (int)(1 + random_below(random, block->n_lanes)) : block->n_lanes;
    }
    block->n_steps = (block->n_keys + block->key_lanes - 1) / block->key_lanes;
    block->head_dim = PICK(random, 0, 1, 2, 3, 5, v - 1, v, v + 1, 2 * v - 1, 2 * v + 1, 4 * v + 3, 64, 65, 128, 256, 272);
    block->value_dim = PICK(random, 0, 1, 2, 3, 5, v - 1, v, v + 1, 2 * v - 1, 2 * v + 1, 4 * v + 3, 64, 65, 128, 256, 272);
    block->key_ld = block->head_dim + PICK(random, 0, 0, 1, 7);
    block->value_ld = block->value_dim + PICK(random, 0, 0, 1, 7);
    block->multiplier = 1;
    int64_t rows = block->n_lanes / block->key_lanes;
    const int64_t sizes[N_ARRAYS] = {
        [TILE] = (int64_t)block->n_steps * block->n_lanes,
        [QUERY] = rows * block->head_dim,
        [KEY] = (block->n_keys - 1) * block->key_ld + block->head_dim,
        [VALUE] = (block->n_keys - 1) * block->value_ld + block->value_dim,
        [ACCUMULATORS] = (by_rows ? block->n_rows : rows) * block->value_dim,
        [ROW_MAX] = block->n_lanes,
        [ROW_SUM] = block->n_lanes,
        [ROW_FACTOR] = block->n_lanes,
    };
    for (int i = 0; i < N_ARRAYS; i++) b->memory[i] = reals_new(suite, sizes[i]);
    block->tile = b->memory[TILE].data;
    block->query = b->memory[QUERY].data;
    block->key = b->memory[KEY].data;
    block->value = b->memory[VALUE].data;
    block->ahead[0] = block->key; /* asked for, never read */
    block->ahead[1] = block->value;
    block->accumulators = b->memory[ACCUMULATORS].data;
    block->row_max = b->memory[ROW_MAX].data;
    block->row_sum = b->memory[ROW_SUM].data;
    block->row_factor = b->memory[ROW_FACTOR].data;
}

void kernel_block_free(kernel_block *b)
{
    for (int i = 0; i < N_ARRAYS; i++) guarded_free(&b->memory[i]);
}

uint32_t *random_attend(suite *suite, const fov_block *block)
{
    size_t n = (size_t)((block->n_steps + 31) / 32) * (size_t)block->n_lanes;
    uint32_t *attend = malloc(n * sizeof *attend);
    for (size_t i = 0; i < n; i++) attend[i] = (uint32_t)random_bits(&suite->random);
    return attend;
}

int attends(const fov_block *block, const uint32_t *attend, int64_t at)
{
    int64_t step = at / block->n_lanes, lane = at % block->n_lanes;
    return (int)(attend[step / 32 * block->n_lanes + lane] >> (step % 32) & 1u);
}

int64_t tile_at(const fov_block *block, int key, int row)
{
    return (int64_t)(key / block->key_lanes) * block->n_lanes + row * block->key_lanes + key % block->key_lanes;
}
