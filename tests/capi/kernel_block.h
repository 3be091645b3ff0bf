/* One block of work for the kernel tests: every array of reals flush against an unreadable page. */
#ifndef TESTS_KERNEL_BLOCK_H
#define TESTS_KERNEL_BLOCK_H

#include "kernels/kernel_types.h"
#include "tensor.h"

/* The kernels under test: one ISA, one real type. */
typedef struct suite {
    const fov_isa *isa;
    const fov_kernels *kernels;
    int real; /* FOV_F32 or FOV_F64 */
    wide u, flushed;
    random_state random;
} suite;

/* Runs a statement in the floating point environment that the driver gives its tasks. */
#define RUN(suite, statement)                                                                                                    \
    do {                                                                                                                         \
        uint64_t saved_environment = (suite)->isa->enter();                                                                      \
        statement;                                                                                                               \
        (suite)->isa->leave(saved_environment);                                                                                  \
    } while (0)

enum { TILE, QUERY, KEY, VALUE, ACCUMULATORS, ROW_MAX, ROW_SUM, ROW_FACTOR, N_ARRAYS };

typedef struct kernel_block {
    fov_block block;
    guarded memory[N_ARRAYS];
} kernel_block;

/* Random sizes around the vector sizes, random contents in (-1, 1); multiplier 1. `by_rows`: the orientation for few rows. */
void kernel_block_init(kernel_block *b, suite *suite, int by_rows);
void kernel_block_free(kernel_block *b);

wide real_get(const suite *suite, const void *reals, int64_t i);
void real_set(const suite *suite, void *reals, int64_t i, double value);
void real_fill(suite *suite, void *reals, int64_t n, double magnitude);
guarded reals_new(suite *suite, int64_t n); /* n random reals in (-1, 1) */
int64_t reals_in(const suite *suite, const guarded *memory);
/* A copy of the reals in the oracle's type; free() it. */
wide *reals_copy(const suite *suite, const guarded *memory);

wide gamma_of(int64_t n, wide u); /* n u / (1 - n u) */

/* attend words [steps / 32][lane] with random bits; free() them. */
uint32_t *random_attend(suite *suite, const fov_block *block);
int attends(const fov_block *block, const uint32_t *attend, int64_t at); /* the bit of element `at` of the tile */

/* Where the tile holds the logit of a key and a row. */
int64_t tile_at(const fov_block *block, int key, int row);

void test_scores(suite *suite);
void test_additive(suite *suite, const fov_score *entry);
void test_cosine_encode(suite *suite, const fov_score *entry);
void test_modifiers(suite *suite);
void test_totals(suite *suite);
void test_activations(suite *suite);
void test_elementwise(suite *suite);
void test_lists(suite *suite);
void test_solvers(suite *suite);
void test_combines(suite *suite);
void test_moves(suite *suite);
void test_stored(suite *suite);
void test_tile_products(suite *suite);
void test_norms(suite *suite);
void test_tile_rows(suite *suite);
void test_tile_planes(suite *suite);
void test_environment(suite *suite);

#endif
