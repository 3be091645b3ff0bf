/* Scores and modifiers of one ISA against plain loops. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernel_block.h"

static void check_dot(suite *suite, const kernel_block *b, int by_rows)
{
    const fov_block *block = &b->block;
    int64_t head_dim = block->head_dim;
    for (int k = 0; k < block->n_keys && !check_failed(); k++)
        for (int lane = 0; lane < block->n_rows; lane++) {
            wide sum = 0, size = 0;
            for (int64_t d = 0; d < head_dim; d++) {
                int64_t at = by_rows ? lane * head_dim + d : d * block->n_lanes + lane;
                wide term = real_get(suite, block->query, at) * real_get(suite, block->key, k * block->key_ld + d);
                sum += term;
                size += fabsl(term);
            }
            wide bound = gamma_of(head_dim + 1, suite->u) * size + (wide)head_dim * suite->flushed;
            check_close(real_get(suite, block->tile, tile_at(block, k, lane)), sum, bound, "tile", k, lane);
        }
}

/* Scores that multiply the rows as they are, or codes that stand for them. */
static void test_dot(suite *suite, int score, int by_rows)
{
    kernel_block b;
    kernel_block_init(&b, suite, by_rows);
    const fov_block *block = &b.block;
    const fov_score *entry = &suite->kernels->score[score];
    check_begin("%s %s score %s %s keys %d lanes %d rows %d D %d ld %d", suite->isa->name, dtype_name(suite->real),
                fov_score_name(score), by_rows ? "rows" : "lanes", block->n_keys, block->n_lanes, block->n_rows,
                (int)block->head_dim, (int)block->key_ld);
    RUN(suite, (by_rows ? entry->rows : entry->lanes)(&b.block));
    check_dot(suite, &b, by_rows);
    check(block->multiplier == 1, "a score does not touch the multiplier");
    kernel_block_free(&b);
}

void test_scores(suite *suite)
{
    for (int score = 0; score < FOV_N_SCORES; score++) {
        const fov_score *entry = &suite->kernels->score[score];
        const char *name = fov_score_name(score);
        check_begin("%s %s score %s table", suite->isa->name, dtype_name(suite->real), name);
        if (strcmp(name, "additive") == 0) {
            check(entry->encode && !entry->code_replaces, "additive reads rows and codes");
            test_additive(suite, entry);
            continue;
        }
        if (strcmp(name, "cosine") == 0) {
            check(entry->encode && entry->code_replaces, "cosine reads codes alone");
            test_cosine_encode(suite, entry);
        } else {
            check(strcmp(name, "dot") == 0 || strcmp(name, "scaled_dot") == 0 || strcmp(name, "bilinear") == 0,
                  "no oracle for this score");
            check(!entry->encode && !entry->code_replaces, "a dot product reads rows as they are");
        }
        for (int repeat = 0; repeat < 60; repeat++) {
            test_dot(suite, score, 0);
            test_dot(suite, score, 1);
        }
    }
}

/* What a modifier makes of one logit, and how far off it may be. */
typedef struct expected {
    wide value, bound;
} expected;

typedef struct modifier {
    double multiplier, cap;
    guarded slopes, distance;
    uint32_t *attend;
} modifier;

typedef enum pass { SCALE, SOFTCAP, ALIBI, MASK, N_PASSES } pass;

static expected expect(const suite *suite, const fov_block *block, const modifier *m, pass pass, wide x, int step, int lane)
{
    wide u = suite->u, c = (wide)m->multiplier, slope, distance;
    switch (pass) {
    case SCALE: return (expected){x * c, gamma_of(2, u) * fabsl(x * c)}; /* the multiplier rounds too */
    case SOFTCAP:
        /* argument: factor and product; tanh 4 u absolute and at most its argument's error; the last product, the cap */
        x = (wide)m->cap * tanhl(x * c / (wide)m->cap);
        return (expected){x, (wide)m->cap * 4 * u + gamma_of(4, u) * fabsl(x)};
    case ALIBI:
        slope = dtype_load(m->slopes.data + lane * 8, FOV_F64);
        distance = dtype_load(m->distance.data + lane * 8, FOV_F64) + step * block->key_lanes;
        return (expected){x * c + slope * distance,
                          gamma_of(4, u) * (fabsl(x * c) + fabsl(slope * distance))}; /* slope, product, sum */
    default: return (expected){attends(block, m->attend, (int64_t)step * block->n_lanes + lane) ? x : -(wide)INFINITY, 0};
    }
}

static void run_pass(const suite *suite, fov_block *block, const modifier *m, pass pass)
{
    const fov_modifiers *modify = &suite->kernels->modify;
    switch (pass) {
    case SCALE: RUN(suite, modify->scale(block)); break;
    case SOFTCAP: RUN(suite, modify->softcap(block, m->cap)); break;
    case ALIBI: RUN(suite, modify->alibi(block, (const double *)m->slopes.data, (const double *)m->distance.data)); break;
    default: RUN(suite, modify->mask(block, m->attend));
    }
}

/* Whole numbers where the magnitude is large: distances. */
static guarded doubles_new(random_state *random, int n, double magnitude)
{
    guarded memory = guarded_new((size_t)n * sizeof(double), sizeof(double), 1);
    for (int i = 0; i < n; i++) {
        double x = random_uniform(random, -magnitude, magnitude);
        ((double *)memory.data)[i] = magnitude > 1 ? floor(x) : x;
    }
    return memory;
}

/* A few elements become what arithmetic can leave in a tile. */
static void sprinkle(suite *suite, const guarded *memory)
{
    static const double specials[] = {INFINITY, -INFINITY, NAN, 0.0, -0.0, 1e30, -1e30, 1e-30};
    int64_t n = reals_in(suite, memory);
    for (int i = 0; i < 8; i++) real_set(suite, memory->data, random_below(&suite->random, n), specials[i]);
}

/* The bits of the elements that are not `excluded`, and whether some logit is masked. */
static void check_differ(suite *suite, const kernel_block *b, double excluded)
{
    const fov_block *block = &b->block;
    size_t n = (size_t)((block->n_steps + 31) / 32) * (size_t)block->n_lanes;
    guarded words = guarded_new(n * sizeof(uint32_t), sizeof(uint32_t), 1);
    uint32_t *attend = (uint32_t *)words.data;
    int any_masked, some = 0;
    RUN(suite, suite->kernels->modify.differ(block, excluded, attend));
    RUN(suite, any_masked = suite->kernels->modify.any_masked(block));
    for (int64_t at = 0; at < reals_in(suite, &b->memory[TILE]); at++) {
        wide x = real_get(suite, block->tile, at);
        check(attends(block, attend, at) == (x != (wide)excluded), "differ(%g): wrong bit of element %d", excluded, (int)at);
        some |= x == -(wide)INFINITY;
    }
    check((any_masked != 0) == some, "any_masked is %d", any_masked);
    guarded_free(&words);
}

void test_modifiers(suite *suite)
{
    static const char *const names[] = {"scale", "softcap", "alibi", "mask"};
    random_state *random = &suite->random;
    for (pass pass = 0; pass < N_PASSES; pass++)
        for (int repeat = 0; repeat < 60; repeat++) {
            kernel_block b;
            kernel_block_init(&b, suite, repeat % 5 == 0);
            fov_block *block = &b.block;
            modifier m = {.multiplier = random_uniform(random, 0.01, 3), .cap = random_uniform(random, 0.5, 50)};
            real_fill(suite, block->tile, reals_in(suite, &b.memory[TILE]), repeat % 2 ? 10 : 200);
            m.slopes = doubles_new(random, block->n_lanes, 1);
            m.distance = doubles_new(random, block->n_lanes, 10000);
            m.attend = random_attend(suite, block);
            if (repeat % 3 == 0) sprinkle(suite, &b.memory[TILE]);
            check_begin("%s %s modify %s steps %d lanes %d multiplier %g cap %g", suite->isa->name, dtype_name(suite->real),
                        names[pass], block->n_steps, block->n_lanes, m.multiplier, m.cap);
            wide *before = reals_copy(suite, &b.memory[TILE]);
            block->multiplier = m.multiplier;
            run_pass(suite, block, &m, pass);
            check(block->multiplier == (pass == MASK ? m.multiplier : 1), "the multiplier is %g afterwards", block->multiplier);
            for (int k = 0; k < block->n_steps; k++)
                for (int lane = 0; lane < block->n_lanes; lane++) {
                    int64_t at = (int64_t)k * block->n_lanes + lane;
                    expected want = expect(suite, block, &m, pass, before[at], k, lane);
                    check_close(real_get(suite, block->tile, at), want.value, want.bound + suite->flushed, "tile", k, lane);
                }
            check_differ(suite, &b, -INFINITY);
            check_differ(suite, &b, 0);
            free(before);
            free(m.attend);
            guarded_free(&m.slopes);
            guarded_free(&m.distance);
            kernel_block_free(&b);
        }
}
