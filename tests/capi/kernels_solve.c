/* The solvers of the sparse activations of one ISA against bisection in a wider type. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernel_block.h"
#include "sparse.h"

static void fill(suite *suite, double *x, int64_t n, int kind, double spread)
{
    random_state *random = &suite->random;
    for (int64_t i = 0; i < n; i++) {
        x[i] = random_uniform(random, -spread, spread);
        if (kind == 1) x[i] = (double)random_below(random, 3) * spread; /* ties */
        if (kind == 2) x[i] += 1e6;
        if (kind == 3 && i > 0) x[i] = -INFINITY; /* a masked logit has no weight */
    }
}

/* softmax of the list: the argument of exp2 is off by 3 u of the distance from the largest, exp2 by 2 u, for the key and for the
 * mean of the others; the sum by n u, the quotient by 1. */
static void expect_softmax(const double *x, int64_t n, wide *w, wide *error)
{
    const wide u = 0x1p-53L;
    wide max = (wide)x[0], sum = 0, mean = 0;
    for (int64_t i = 0; i < n; i++) max = fmaxl(max, (wide)x[i]);
    for (int64_t i = 0; i < n; i++) sum += w[i] = expl((wide)x[i] - max);
    for (int64_t i = 0; i < n; i++) {
        w[i] /= sum;
        if (w[i] > 0) mean += w[i] * (max - (wide)x[i]);
    }
    for (int64_t i = 0; i < n; i++)
        error[i] = w[i] == 0 ? 0 : (gamma_of(3, u) * (max - (wide)x[i] + mean) + gamma_of(n + 6, u)) * w[i] + 0x1p-1022L;
}

static void test_one(suite *suite, int index, double alpha, int repeat)
{
    const fov_activation *activation = &suite->kernels->activation[index];
    const char *name = fov_activation_name(index);
    random_state *random = &suite->random;
    int64_t n = PICK(random, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33, 64, 65, 300);
    int kind = (int)random_below(random, 4), is_softmax = strcmp(name, "topk") == 0;
    double spread = ((const double[]){0.001, 0.5, 3, 30})[random_below(random, 4)], factor = is_softmax ? 0 : 1 / (alpha - 1);
    guarded memory = guarded_new((size_t)n * sizeof(double), sizeof(double), repeat % 2);
    double *x = (double *)memory.data, *before = malloc((size_t)n * sizeof *before);
    wide *w = malloc((size_t)n * sizeof *w), *error = malloc((size_t)n * sizeof *error), sum = 0, reach;
    if (repeat % 3 && !is_softmax && spread > factor) spread = factor; /* many within reach of each other */
    fill(suite, x, n, kind, spread);
    memcpy(before, x, (size_t)n * sizeof *x);
    check_begin("%s %s solve %s alpha %g n %d kind %d spread %g", suite->isa->name, dtype_name(suite->real), name, alpha, (int)n,
                kind, spread);
    reach = (wide)activation->reach(alpha);
    check(is_softmax ? isinf(reach) : fabsl(reach * ((wide)alpha - 1) - 1) <= 4 * 0x1p-53L, "the reach is %Lg", reach);
    RUN(suite, activation->solve(x, n, alpha));
    if (is_softmax) expect_softmax(before, n, w, error);
    else {
        for (int64_t i = 0; i < n; i++) w[i] = (wide)before[i];
        sparse_weights(w, n, (wide)alpha, 0, error);
    }
    for (int64_t i = 0; i < n && !check_failed(); i++) {
        /* pow is 1 ulp off, its exponent 2 u, which is 2 u w |log w| <= u; the sum of the weights n u, the quotient 1 */
        wide bound = error[i] + (is_softmax || w[i] == 0 ? 0 : gamma_of(n + 4, 0x1p-53L) * w[i] + 0x1p-53L);
        check_close((wide)x[i], w[i], bound, "weights", i, 0);
        if (w[i] == 0 && error[i] == 0) check(x[i] == 0, "weight %d is %g, not exactly 0", (int)i, x[i]);
        sum += (wide)x[i];
    }
    /* 4 eps; long sums: a chain per lane of at least 2 */
    wide allowed = fmaxl(4 * 0x1p-52L, gamma_of(n / 2 + 3, 0x1p-53L));
    check(fabsl(sum - 1) <= allowed, "the weights sum to 1 + %Lg", sum - 1);
    free(before);
    free(w);
    free(error);
    guarded_free(&memory);
}

void test_solvers(suite *suite)
{
    /* 17: with all kinds, sides and spreads in turn */
    static const double alphas[] = {1.1,    1.3,    1.5,         2, 3,  1.01, 5,  1 + 0x1p-52, 1 + 1e-9,
                                    1.0001, 1.9999, 2 + 0x1p-51, 8, 10, 20,   50, 1000};
    for (int index = 0; index < FOV_N_ACTIVATIONS; index++) {
        if (!suite->kernels->activation[index].solve) continue;
        const char *name = fov_activation_name(index);
        int any = strcmp(name, "entmax") == 0, half = strcmp(name, "entmax15") == 0;
        check_begin("%s %s solve %s", suite->isa->name, dtype_name(suite->real), name);
        check(any || half || strcmp(name, "sparsemax") == 0 || strcmp(name, "topk") == 0, "no oracle for it");
        for (int repeat = 0; repeat < (any ? 340 : 80); repeat++)
            test_one(suite, index, any ? alphas[repeat % 17] : half ? 1.5 : 2, repeat);
    }
}
