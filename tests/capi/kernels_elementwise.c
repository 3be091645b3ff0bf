/* Elementwise activations of one ISA against their formulas: relu, relu2, sigmoid, tanh, identity. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernel_block.h"

typedef struct expected {
    wide value, bound;
} expected;

/* x is the exact logit. The kernel rounds the multiplier to a real and then the product: 2 u |x|. */
static expected expect(const suite *suite, const char *name, wide x, wide bias)
{
    wide u = suite->u, w;
    if (x == -(wide)INFINITY) return (expected){0, 0}; /* masked */
    if (strcmp(name, "identity") == 0) return (expected){x, gamma_of(2, u) * fabsl(x)};
    if (strcmp(name, "tanh") == 0) /* |x tanh'(x)| < 0.45; tanh 4 u absolute (simd/vec_math.h) */
        return (expected){tanhl(x), 4 * u + gamma_of(2, u) * 0.45L};
    if (strcmp(name, "relu") == 0 || strcmp(name, "relu2") == 0) {
        w = isnan(x) ? x : fmaxl(x, 0);
        if (name[4] == 0) return (expected){w, gamma_of(2, u) * w};
        return (expected){w * w, gamma_of(5, u) * w * w}; /* twice 2 u, and the square */
    }
    check(strcmp(name, "sigmoid") == 0, "no oracle for activation %s", name);
    /* the factor log2(e) multiplier and log2(e) bias round twice each, the product and the sum once, d log w = (1 - w) dx;
     * exp2 2 u; 1 + e rounds; the reciprocal is 0.6 ulp or 1.2 u off (simd/vec.h) */
    w = 1 / (1 + expl(-(x + bias)));
    return (expected){w, (gamma_of(4, u) * (fabsl(x) + fabsl(bias)) + gamma_of(5, u)) * w};
}

static void fill(suite *suite, const guarded *tile, double magnitude)
{
    static const double specials[] = {INFINITY, -INFINITY, NAN, 0.0, -0.0, 1e-30, 1e-38, 88, -88, 700};
    int64_t n = reals_in(suite, tile);
    real_fill(suite, tile->data, n, magnitude);
    for (size_t i = 0; i < sizeof specials / sizeof *specials; i++)
        real_set(suite, tile->data, random_below(&suite->random, n), specials[i]);
}

static void test_one(suite *suite, int index, int repeat)
{
    const fov_activation *activation = &suite->kernels->activation[index];
    const char *name = fov_activation_name(index);
    random_state *random = &suite->random;
    kernel_block b;
    kernel_block_init(&b, suite, repeat % 4 == 0);
    fov_block *block = &b.block;
    double multiplier = random_uniform(random, 0.05, 2);
    block->multiplier = multiplier;
    block->sigmoid_bias = repeat % 3 ? random_uniform(random, -10, 10) : 0;
    check_begin("%s %s activation %s steps %d lanes %d multiplier %g bias %g", suite->isa->name, dtype_name(suite->real), name,
                block->n_steps, block->n_lanes, multiplier, block->sigmoid_bias);
    fill(suite, &b.memory[TILE], (double)PICK(random, 1, 10, 200));
    wide *before = reals_copy(suite, &b.memory[TILE]);
    RUN(suite, activation->init(block));
    RUN(suite, activation->weights(block));
    for (int64_t at = 0; at < reals_in(suite, &b.memory[TILE]) && !check_failed(); at++) {
        expected want = expect(suite, name, before[at] * (wide)multiplier, (wide)block->sigmoid_bias);
        check_close(real_get(suite, block->tile, at), want.value, want.bound + suite->flushed, "tile", at / block->n_lanes,
                    at % block->n_lanes);
    }
    /* the driver multiplies what it has accumulated by the factors of merge and finish */
    fov_block from = *block;
    guarded factor = reals_new(suite, block->n_lanes);
    from.row_factor = factor.data;
    RUN(suite, activation->merge(block, &from));
    for (int lane = 0; lane < block->n_lanes; lane++) {
        check(real_get(suite, block->row_factor, lane) == 1, "merge: the factor of lane %d is not 1", lane);
        check(real_get(suite, factor.data, lane) == 1, "merge: the other factor of lane %d is not 1", lane);
        real_set(suite, block->row_factor, lane, 7);
    }
    RUN(suite, activation->finish(block, NULL));
    for (int lane = 0; lane < block->n_lanes; lane++)
        check(real_get(suite, block->row_factor, lane) == 1, "finish: the factor of lane %d is not 1", lane);
    free(before);
    guarded_free(&factor);
    kernel_block_free(&b);
}

void test_elementwise(suite *suite)
{
    for (int index = 0; index < FOV_N_ACTIVATIONS; index++)
        for (int repeat = 0; suite->kernels->activation[index].elementwise && repeat < 60; repeat++)
            test_one(suite, index, repeat);
}
