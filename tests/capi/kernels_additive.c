/* The score additive of one ISA against plain loops: its encoding, and every path that it may take. */
#include <math.h>
#include <stdlib.h>

#include "kernel_block.h"

/* Of |x| in f32: up to 21.5 there are codes, beyond it tanh is called. Reaches that add up to 34.5 share reciprocals. f64: 175, 314. */
static double coded_reach(const suite *suite) { return suite->real == FOV_F64 ? 175 : 21.5; }

typedef struct operand {
    guarded rows, code, reach;
    int64_t n, ld;
} operand;

static operand operand_new(suite *suite, const fov_score *entry, int64_t n, int64_t dim, int64_t pad, int kind)
{
    random_state *random = &suite->random;
    double half = suite->real == FOV_F64 ? 157 : 17.2; /* of what shares: a single element, or eight neighbours */
    const double magnitudes[] = {1, half / 8, half / 4, half / 2, half, 1.24 * half, 6 * half, 1e30, 0};
    operand x = {.n = n, .ld = dim + pad};
    x.rows = reals_new(suite, (n - 1) * x.ld + dim);
    x.code = reals_new(suite, n * dim);
    x.reach = reals_new(suite, n);
    for (int64_t r = 0; r < n; r++) {
        double magnitude = magnitudes[kind < 9 ? kind : random_below(random, 9)]; /* kind 9: neighbours differ */
        for (int64_t d = 0; d < dim; d++) real_set(suite, x.rows.data, r * x.ld + d, magnitude * random_uniform(random, -1, 1));
        if (dim == 0) continue;
        if (kind < 9 && magnitude > 0) /* the largest itself */
            real_set(suite, x.rows.data, r * x.ld + random_below(random, dim), random_below(random, 2) ? magnitude : -magnitude);
        static const double specials[] = {NAN, INFINITY, -INFINITY};
        if (kind == 9 && random_below(random, 12) == 0)
            real_set(suite, x.rows.data, r * x.ld + random_below(random, dim), specials[random_below(random, 3)]);
    }
    RUN(suite, entry->encode(x.rows.data, x.ld, n, dim, x.code.data, x.reach.data));
    return x;
}

static void operand_free(operand *x)
{
    guarded_free(&x->rows);
    guarded_free(&x->code);
    guarded_free(&x->reach);
}

static wide element(const suite *suite, const operand *x, int64_t r, int64_t d)
{
    return real_get(suite, x->rows.data, r * x->ld + d);
}

/* The largest sum of positive elements of a group that may share a reciprocal: eight neighbours, or four a vector apart. */
static wide largest_group(const suite *suite, const operand *x, int64_t r, int64_t dim)
{
    int64_t apart = suite->kernels->vector_lanes;
    wide largest = 0;
    for (int64_t first = 0; first < dim; first++) {
        wide near = 0, far = 0;
        for (int64_t d = first; first % 8 == 0 && d < dim && d < first + 8; d++) near += fmaxl(element(suite, x, r, d), 0);
        for (int64_t d = first; first / apart % 4 == 0 && d < dim && d < first + 4 * apart; d += apart)
            if (first / (4 * apart) * 4 * apart + 4 * apart <= dim) far += fmaxl(element(suite, x, r, d), 0);
        largest = fmaxl(largest, fmaxl(near, far));
    }
    return largest;
}

/* exp2 2 u, the last multiply-add 1 u. The argument's rounding is made good: what is left of it, (2 u 2 |x| log2 e)^2 / 2 and
 * products of two roundings, is under 1 u for every |x| that has a code. A reach is summed group by group only where a cheaper
 * bound does not keep it within half of what shares. */
static void check_codes(const suite *suite, const operand *x, int64_t dim)
{
    wide half = suite->real == FOV_F64 ? 157 : 17.25L;
    for (int64_t r = 0; r < x->n; r++) {
        int coded = 1;
        for (int64_t d = 0; d < dim; d++) coded &= fabsl(element(suite, x, r, d)) <= (wide)coded_reach(suite);
        wide reach = real_get(suite, x->reach.data, r);
        check(isinf(reach) == !coded, "reach of row %d is %Lg", (int)r, reach);
        if (!coded) continue;
        wide group = largest_group(suite, x, r, dim), slack = gamma_of(8, suite->u) * group;
        check(reach >= group - slack && reach <= fmaxl(half, group + slack), "reach of row %d is %Lg, its largest group %Lg",
              (int)r, reach, group);
        for (int64_t d = 0; d < dim; d++) {
            wide want = expl(2 * element(suite, x, r, d));
            check_close(real_get(suite, x->code.data, r * dim + d), want, gamma_of(4, suite->u) * want, "code", r, d);
        }
    }
}

/* One logit and how far off it may be, whichever path is taken.
 *
 * tanh: q + k rounds, |z tanh'(z)| < 0.45; tanh 4 u; D multiply-adds (scalar: 2 roundings each, the first sum exact).
 * coded: with r = 1 / (1 + A B) a term is v (1 - 2 r). A and B 4 u each, their product 1: (1 - r) 9 u relative in r; 1 + A B
 * rounds: 1. One reciprocal each: 1.2. Eight terms with one: the sums 1 + A B stand in numerator and denominator alike; the
 * roundings behind them are 10 in the numerator (docs/numerics.md) and 8.2 in the denominator (seven products, the reciprocal).
 * So r [(1 - r) 9 + 20] u; D multiply-adds; then whole - 2 sum: whole is summed in double and rounds, so does the
 * difference. */
typedef struct expected {
    wide value, bound;
} expected;

static expected expect(const suite *suite, const operand *q, const operand *k, const void *v, int64_t row, int64_t key,
                       int64_t dim)
{
    wide u = suite->u, sum = 0, size = 0, whole = 0, sizes = 0, coded = 0, by_tanh = 0;
    for (int64_t d = 0; d < dim; d++) {
        wide z = element(suite, q, row, d) + element(suite, k, key, d), w = real_get(suite, v, d), r = 1 / (1 + expl(2 * z));
        sum += w * tanhl(z);
        size += fabsl(w * tanhl(z));
        whole += w;
        sizes += fabsl(w);
        coded += 2 * fabsl(w) * r * ((1 - r) * gamma_of(9, u) + gamma_of(20, u) + gamma_of(dim + 1, u));
        by_tanh += fabsl(w) * (4 * u + 0.45L * gamma_of(1, u));
    }
    by_tanh += gamma_of(dim + 1, u) * size;
    coded += u * fabsl(whole) + gamma_of(dim, 0x1p-53L) * sizes + u * fabsl(sum);
    return (expected){sum, fmaxl(by_tanh, coded) + (2 * (wide)dim + 2) * suite->flushed};
}

static void test_one(suite *suite, const fov_score *entry, int by_rows, int64_t dim, int q_kind, int k_kind)
{
    kernel_block b;
    kernel_block_init(&b, suite, by_rows);
    fov_block *block = &b.block;
    int64_t rows = block->n_lanes / block->key_lanes;
    check_begin("%s %s score additive %s keys %d lanes %d rows %d D %d kinds %d %d", suite->isa->name, dtype_name(suite->real),
                by_rows ? "rows" : "lanes", block->n_keys, block->n_lanes, block->n_rows, (int)dim, q_kind, k_kind);
    operand query = operand_new(suite, entry, block->n_rows, dim, 0, q_kind);
    operand key = operand_new(suite, entry, block->n_keys, dim, PICK(&suite->random, 0, 0, 1, 7), k_kind);
    guarded v = reals_new(suite, dim), place[2] = {reals_new(suite, rows * dim), reals_new(suite, rows * dim)};
    if (random_below(&suite->random, 3) == 0) /* the path without v */
        for (int64_t d = 0; d < dim; d++) real_set(suite, v.data, d, 1);
    check_codes(suite, &query, dim);
    check_codes(suite, &key, dim);
    for (int64_t r = 0; r < rows; r++) /* lanes without a row are 0, as the driver leaves them */
        for (int64_t d = 0; d < dim; d++) {
            int64_t at = by_rows ? r * dim + d : d * block->n_lanes + r;
            real_set(suite, place[0].data, at, r < query.n ? (double)element(suite, &query, r, d) : 0);
            real_set(suite, place[1].data, at, r < query.n ? (double)real_get(suite, query.code.data, r * dim + d) : 0);
        }
    block->head_dim = dim;
    block->key_ld = key.ld;
    block->query = place[0].data;
    block->query_code = place[1].data;
    block->query_reach = query.reach.data;
    block->key = key.rows.data;
    block->key_code = key.code.data;
    block->key_reach = key.reach.data;
    block->score_v = v.data;
    RUN(suite, (by_rows ? entry->rows : entry->lanes)(block));
    for (int k = 0; k < block->n_keys && !check_failed(); k++)
        for (int row = 0; row < block->n_rows; row++) {
            expected want = expect(suite, &query, &key, v.data, row, k, dim);
            check_close(real_get(suite, block->tile, tile_at(block, k, row)), want.value, want.bound, "tile", k, row);
        }
    check(block->multiplier == 1, "a score does not touch the multiplier");
    operand_free(&query);
    operand_free(&key);
    guarded_free(&v);
    guarded_free(&place[0]);
    guarded_free(&place[1]);
    kernel_block_free(&b);
}

void test_additive(suite *suite, const fov_score *entry)
{
    static const int64_t dims[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65};
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
        for (int by_rows = 0; by_rows < 2; by_rows++) {
            for (int kind = 0; kind < 10; kind++) test_one(suite, entry, by_rows, dims[i], kind, kind);
            for (int repeat = 0; repeat < 4; repeat++)
                test_one(suite, entry, by_rows, dims[i], (int)random_below(&suite->random, 9), 9);
        }
}
