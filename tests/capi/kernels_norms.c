/* Lengths of queries and keys: never below the exact ones, and little above; what is not finite is infinite. */
#include <float.h>
#include <math.h>

#include "kernel_block.h"

static void check_norm(const suite *suite, wide got, wide squares, int64_t n)
{
    const wide most = sqrtl(squares * (1 + 1e-3L) + 2 * (wide)(n + 1) * suite->flushed) * (1 + 1e-5L) + 2 * (wide)FLT_MIN;
    check(got >= sqrtl(squares) && got <= most, "%Lg, exactly %Lg", got, sqrtl(squares));
}

static double magnitude(suite *suite) { return PICK(&suite->random, 1, 1e-3, 1e15, 1e-25); }

static void test_rows(suite *suite)
{
    random_state *random = &suite->random;
    const int64_t dim = PICK(random, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 100, 129), n = 1 + random_below(random, 70),
                  ld = dim + random_below(random, 3);
    guarded rows = reals_new(suite, (n - 1) * ld + dim);
    real_fill(suite, rows.data, (n - 1) * ld + dim, magnitude(suite));
    wide largest = 0;
    for (int64_t k = 0; k < n; k++) {
        wide squares = 0;
        for (int64_t d = 0; d < dim; d++) squares += powl(real_get(suite, rows.data, k * ld + d), 2);
        if (squares > largest) largest = squares;
    }
    check_begin("%s largest_norm of %d rows D %d", suite->isa->name, (int)n, (int)dim);
    float got = 0;
    RUN(suite, got = suite->kernels->modify.largest_norm(rows.data, ld, n, dim));
    check_norm(suite, (wide)got, largest, dim);
    static const double bad[] = {NAN, INFINITY, -INFINITY};
    real_set(suite, rows.data, random_below(random, n) * ld + random_below(random, dim), bad[random_below(random, 3)]);
    RUN(suite, got = suite->kernels->modify.largest_norm(rows.data, ld, n, dim));
    check(isinf(got) && got > 0, "%g of a row that is not finite", (double)got);
    guarded_free(&rows);
}

static void test_queries(suite *suite)
{
    random_state *random = &suite->random;
    const int64_t dim = PICK(random, 1, 2, 3, 7, 16, 33, 64, 129);
    fov_block b = {.head_dim = dim, .key_lanes = 1};
    b.n_lanes = b.n_rows = suite->kernels->vector_lanes * (int)(1 + random_below(random, 3));
    guarded query = reals_new(suite, dim * b.n_lanes);
    real_fill(suite, query.data, dim * b.n_lanes, magnitude(suite));
    const int bad = (int)random_below(random, b.n_lanes);
    real_set(suite, query.data, random_below(random, dim) * b.n_lanes + bad, random_below(random, 2) ? NAN : -INFINITY);
    b.query = query.data;
    double norms[FOV_MAX_LANES];
    check_begin("%s query_norms lanes %d D %d", suite->isa->name, b.n_lanes, (int)dim);
    RUN(suite, suite->kernels->modify.query_norms(&b, norms));
    for (int lane = 0; lane < b.n_lanes && !check_failed(); lane++) {
        wide squares = 0;
        for (int64_t d = 0; d < dim; d++) squares += powl(real_get(suite, query.data, d * b.n_lanes + lane), 2);
        if (lane == bad) check(isinf(norms[lane]) && norms[lane] > 0, "%g of a query that is not finite", norms[lane]);
        else check_norm(suite, (wide)norms[lane], squares, dim);
    }
    guarded_free(&query);
}

void test_norms(suite *suite)
{
    for (int repeat = 0; repeat < 100; repeat++) {
        test_rows(suite);
        test_queries(suite);
    }
}
