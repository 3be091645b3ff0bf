/* The encoding of the score cosine, rows of length 1, of one ISA against plain loops. */
#include <math.h>
#include <stdlib.h>

#include "kernel_block.h"

/* Magnitudes whose squares overflow, underflow or are subnormal, of f32 and of f64. */
static double magnitude_of(const suite *suite, int kind)
{
    static const double f32[] = {1, 0, 1e30, 1e-30, 3e38, 1e-40, 1e-45, 1e17, 1e-12};
    static const double f64[] = {1, 0, 1e200, 1e-200, 1.7e308, 1e-310, 5e-324, 1e150, 1e-125};
    return suite->real == FOV_F64 ? f64[kind] : f32[kind];
}

enum { N_MAGNITUDES = 9 };

static void fill(suite *suite, guarded *rows, int64_t ld, int64_t n_rows, int64_t dim)
{
    random_state *random = &suite->random;
    for (int64_t r = 0; r < n_rows; r++) {
        int kind = (int)random_below(random, N_MAGNITUDES + 3);
        double magnitude = kind < N_MAGNITUDES ? magnitude_of(suite, kind) : 1;
        for (int64_t d = 0; d < dim; d++) real_set(suite, rows->data, r * ld + d, magnitude * random_uniform(random, -1, 1));
        if (dim == 0 || kind < N_MAGNITUDES) continue;
        if (kind == N_MAGNITUDES) real_set(suite, rows->data, r * ld + random_below(random, dim), NAN);
        if (kind == N_MAGNITUDES + 1) real_set(suite, rows->data, r * ld + random_below(random, dim), -INFINITY);
        if (kind == N_MAGNITUDES + 2) /* one element beyond all others: their squares vanish beside its own */
            real_set(suite, rows->data, r * ld + random_below(random, dim), magnitude_of(suite, 2));
    }
}

void test_cosine_encode(suite *suite, const fov_score *entry)
{
    random_state *random = &suite->random;
    for (int repeat = 0; repeat < 200; repeat++) {
        int64_t dim = PICK(random, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 128);
        int64_t n_rows = PICK(random, 1, 2, 3, 5, 17), ld = dim + PICK(random, 0, 0, 1, 7);
        guarded rows = reals_new(suite, (n_rows - 1) * ld + dim), code = reals_new(suite, n_rows * dim);
        fill(suite, &rows, ld, n_rows, dim);
        check_begin("%s %s cosine encode rows %d D %d ld %d", suite->isa->name, dtype_name(suite->real), (int)n_rows, (int)dim,
                    (int)ld);
        RUN(suite, entry->encode(rows.data, ld, n_rows, dim, code.data, NULL));
        for (int64_t r = 0; r < n_rows && !check_failed(); r++) {
            wide largest = 0, squares = 0; /* of x / largest: the range of wide need not hold the squares either */
            int odd = 0;
            for (int64_t d = 0; d < dim; d++) {
                wide x = real_get(suite, rows.data, r * ld + d);
                largest = fmaxl(largest, fabsl(x));
                odd |= isnan(x);
            }
            for (int64_t d = 0; d < dim && largest > 0; d++) {
                wide x = real_get(suite, rows.data, r * ld + d) / (isinf(largest) ? 1 : largest);
                squares += x * x;
            }
            for (int64_t d = 0; d < dim; d++) {
                wide x = real_get(suite, rows.data, r * ld + d);
                wide want = odd ? (wide)NAN : largest == 0 ? 0 : isinf(largest) ? x / largest : x / largest / sqrtl(squares);
                /* the root halves the error of the sum of squares; root, quotient, its rounding to a real, the product.
                 * Where the squares were summed unscaled, those that vanished are under 2^-126 beside a sum over 1e-24 (f64:
                 * 2^-1022, 1e-250), less than one u for any D here. */
                wide bound = (gamma_of(dim + 1, suite->u) / 2 + gamma_of(5, suite->u)) * fabsl(want) + suite->flushed;
                check_close(real_get(suite, code.data, r * dim + d), want, bound, "code", r, d);
            }
        }
        guarded_free(&rows);
        guarded_free(&code);
    }
}
