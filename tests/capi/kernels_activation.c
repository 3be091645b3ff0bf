/* Normalising activations of one ISA against plain loops: several tiles, two states that are merged, sinks, masked and NaN logits.
 *
 * The contract under test is that of the driver: a weight that a tile left, times every factor that came later, is the final
 * weight; and `weights` makes the same of the logits afterwards. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernel_block.h"

#define MAX_TILES 4

typedef struct scene {
    suite *suite;
    const fov_activation *activation;
    int n_tiles, n_first; /* tiles below n_first go to the first state, the others to the second */
    double multiplier;
    kernel_block first, second;
    guarded logits[MAX_TILES];
    wide *weights[MAX_TILES]; /* what became of the weights of each tile, all factors applied */
    double *sinks; /* one per row, NULL = none */
} scene;

static int64_t tile_size(const scene *s) { return (int64_t)s->first.block.n_steps * s->first.block.n_lanes; }

static void multiply_by_factor(scene *s, int tile, const fov_block *state)
{
    for (int64_t i = 0; i < tile_size(s); i++) s->weights[tile][i] *= real_get(s->suite, state->row_factor, i % state->n_lanes);
}

static void run_tiles(scene *s, fov_block *state, int begin, int end)
{
    state->multiplier = s->multiplier;
    RUN(s->suite, s->activation->init(state));
    for (int tile = begin; tile < end; tile++) {
        int rescale;
        memcpy(state->tile, s->logits[tile].data, s->logits[tile].size);
        state->multiplier = s->multiplier;
        RUN(s->suite, rescale = s->activation->tile(state));
        if (rescale)
            for (int before = begin; before < tile; before++) multiply_by_factor(s, before, state);
        for (int64_t i = 0; i < tile_size(s); i++) s->weights[tile][i] = real_get(s->suite, state->tile, i);
    }
}

/* What a row should hold; weights in the order of the keys of all tiles. */
typedef struct row {
    wide weights[MAX_TILES * FOV_MAX_TILE_KEYS], lse, relative, absolute, lse_bound;
    int has_nan;
} row;

static wide logit_of(const scene *s, int j, int i)
{
    int n_keys = s->first.block.n_keys;
    int64_t at = tile_at(&s->first.block, j % n_keys, i);
    return real_get(s->suite, s->logits[j / n_keys].data, at) * (wide)s->multiplier;
}

/* softmax; softmax1 comes with a sink of 0 */
static void expect_row(const scene *s, int i, row *want)
{
    int n = s->n_tiles * s->first.block.n_keys;
    wide u = s->suite->u, e_exp = 4 * u, sink = s->sinks ? (wide)s->sinks[i] : -(wide)INFINITY;
    wide row_max = sink, largest = s->sinks ? fabsl(sink) : 0, row_sum = 0;
    for (int j = 0; j < n; j++) {
        wide x = logit_of(s, j, i);
        row_max = fmaxl(row_max, x);
        if (isfinite(x)) largest = fmaxl(largest, fabsl(x));
    }
    want->has_nan = 0;
    for (int j = 0; j < n; j++) {
        wide x = logit_of(s, j, i);
        want->weights[j] = x == -(wide)INFINITY ? 0 : expl(x - row_max);
        row_sum += want->weights[j];
        if (isnan(want->weights[j])) want->has_nan = 1;
    }
    wide logit_error = 3 * u * largest; /* log2(e) times multiplier, its product, the distance from row_max */
    int n_factors = s->n_tiles + 2; /* rescales, merge, finish: one more exp of one more difference each */
    want->absolute = n_factors * s->suite->flushed;
    if (s->sinks) row_sum += expl(sink - row_max);
    for (int j = 0; j < n; j++)
        if (logit_of(s, j, i) != -(wide)INFINITY) want->weights[j] /= row_sum; /* masked: 0 even in a NaN row */
    want->lse = row_sum == 0 ? -(wide)INFINITY : row_max + logl(row_sum);
    wide factors = n_factors * (e_exp + 2 * u + 2 * u * largest);
    want->relative = 2 * logit_error + 2 * e_exp + 2 * gamma_of(n + 1, u) + factors;
    want->lse_bound = logit_error + e_exp + gamma_of(n + 1, u) + factors + 5 * u * (fabsl(want->lse) + logl(n + 1));
}

/* The weights that a tile leaves may be 0 * NaN at masked keys of a NaN row: the driver leaves those keys out. */
static void check_weights(const scene *s, const row *want, int i, int tile, const wide *got, int final)
{
    const fov_block *block = &s->first.block;
    for (int k = 0; k < block->n_keys; k++) {
        wide w = want->weights[tile * block->n_keys + k];
        if (w == 0 && want->has_nan && !final) continue;
        const char *what = final ? "final weights" : "tile weights";
        check_close(got[tile_at(block, k, i)], w, want->relative * w + want->absolute, what, k, i);
    }
}

static void check_scene(scene *s)
{
    fov_block *state = &s->first.block;
    double *lse = calloc((size_t)state->n_lanes, sizeof *lse);
    wide *again[MAX_TILES];
    row want = {.lse = 0};
    RUN(s->suite, s->activation->lse(state, s->sinks, lse));
    for (int tile = 0; tile < s->n_tiles; tile++) {
        memcpy(state->tile, s->logits[tile].data, s->logits[tile].size);
        state->multiplier = s->multiplier;
        RUN(s->suite, s->activation->weights(state));
        again[tile] = reals_copy(s->suite, &s->first.memory[TILE]);
    }
    for (int i = 0; i < state->n_rows && !check_failed(); i++) {
        expect_row(s, i, &want);
        for (int tile = 0; tile < s->n_tiles; tile++) {
            check_weights(s, &want, i, tile, s->weights[tile], 0);
            check_weights(s, &want, i, tile, again[tile], 1);
        }
        check_close(lse[i], want.lse, want.lse_bound, "lse", i, 0);
    }
    for (int tile = 0; tile < s->n_tiles; tile++) free(again[tile]);
    free(lse);
}

static void fill_logits(scene *s, double magnitude, int specials)
{
    random_state *random = &s->suite->random;
    int64_t n_lanes = s->first.block.n_lanes;
    for (int tile = 0; tile < s->n_tiles; tile++) {
        guarded *memory = &s->logits[tile];
        *memory = reals_new(s->suite, tile_size(s));
        real_fill(s->suite, memory->data, tile_size(s), magnitude);
        for (int64_t i = 0; specials && i < tile_size(s); i++) {
            int kind = (int)(i % n_lanes) % 4; /* lanes: clean, some keys masked, all keys masked, rising maximum */
            if (kind == 2 || (kind == 1 && random_below(random, 3))) real_set(s->suite, memory->data, i, -INFINITY);
            if (kind == 3) real_set(s->suite, memory->data, i, (double)(20 * tile) + random_uniform(random, -1, 1));
        }
    }
    if (specials >= 2) {
        guarded *memory = &s->logits[random_below(random, s->n_tiles)];
        real_set(s->suite, memory->data, random_below(random, tile_size(s)), specials == 2 ? NAN : INFINITY);
    }
    const fov_block *block = &s->first.block;
    int n_padded = block->n_steps * block->key_lanes; /* what the last step has too much is masked */
    for (int tile = 0; tile < s->n_tiles; tile++)
        for (int k = block->n_keys; k < n_padded; k++)
            for (int i = 0; i < block->n_lanes / block->key_lanes; i++)
                real_set(s->suite, s->logits[tile].data, tile_at(block, k, i), -INFINITY);
}

static void run_scene(suite *suite, int index, int repeat)
{
    random_state *random = &suite->random;
    scene s = {.suite = suite, .activation = &suite->kernels->activation[index]};
    const char *name = fov_activation_name(index);
    kernel_block_init(&s.first, suite, repeat % 5 == 0);
    kernel_block_init(&s.second, suite, 0);
    fov_block *state = &s.first.block, *other = &s.second.block;
    s.n_tiles = 1 + (int)random_below(random, MAX_TILES);
    s.n_first = (int)random_below(random, s.n_tiles + 1);
    s.multiplier = random_uniform(random, 0.05, 2);
    fill_logits(&s, (double)PICK(random, 1, 10, 40), repeat % 4);
    if ((s.activation->takes_sinks && repeat % 3 == 0) || s.activation->extra_logit) {
        s.sinks = malloc((size_t)state->n_rows * sizeof *s.sinks);
        for (int i = 0; i < state->n_rows; i++) s.sinks[i] = s.activation->extra_logit ? 0 : random_uniform(random, -20, 20);
    }
    for (int tile = 0; tile < s.n_tiles; tile++) s.weights[tile] = calloc((size_t)tile_size(&s), sizeof(wide));
    check_begin("%s %s activation %s keys %d lanes %d / %d rows %d tiles %d + %d multiplier %g specials %d%s", suite->isa->name,
                dtype_name(suite->real), name, state->n_keys, state->n_lanes, state->key_lanes, state->n_rows, s.n_first,
                s.n_tiles - s.n_first, s.multiplier, repeat % 4, s.sinks ? " sinks" : "");

    guarded states[3]; /* the second state has the shape of the first */
    for (int i = 0; i < 3; i++) states[i] = reals_new(suite, state->n_lanes);
    guarded tile = reals_new(suite, tile_size(&s));
    *other = *state;
    other->tile = tile.data;
    other->row_max = states[0].data;
    other->row_sum = states[1].data;
    other->row_factor = states[2].data;
    run_tiles(&s, state, 0, s.n_first);
    if (s.n_first < s.n_tiles) {
        run_tiles(&s, other, s.n_first, s.n_tiles);
        RUN(suite, s.activation->merge(state, other));
        for (int i = 0; i < s.n_tiles; i++) multiply_by_factor(&s, i, i < s.n_first ? state : other);
    }
    RUN(suite, s.activation->finish(state, s.sinks));
    for (int i = 0; i < s.n_tiles; i++) multiply_by_factor(&s, i, state);
    check_scene(&s);

    for (int i = 0; i < s.n_tiles; i++) {
        free(s.weights[i]);
        guarded_free(&s.logits[i]);
    }
    for (int i = 0; i < 3; i++) guarded_free(&states[i]);
    guarded_free(&tile);
    free(s.sinks);
    kernel_block_free(&s.first);
    kernel_block_free(&s.second);
}

/* Every activation is of one kind, and has what the driver calls for that kind. */
static void check_kind(suite *suite, int index)
{
    const fov_activation *a = &suite->kernels->activation[index];
    check_begin("%s %s activation %s table", suite->isa->name, dtype_name(suite->real), fov_activation_name(index));
    int state = a->init && a->finish && a->weights && a->merge;
    if (a->solve) check(a->reach && !a->elementwise && !a->tile && !a->weights, "a sparse activation has reach and solve alone");
    else if (a->elementwise) check(state && !a->tile && !a->reach, "an elementwise activation has weights and no tile");
    else check(state && a->tile && !a->reach, "a normalising activation has tile, weights and merge");
    check(!a->has_lse == !a->lse, "has_lse is %d", a->has_lse);
    check(!a->lse || a->tile, "only a normalising activation has an lse");
}

void test_activations(suite *suite)
{
    for (int index = 0; index < FOV_N_ACTIVATIONS; index++) {
        const fov_activation *activation = &suite->kernels->activation[index];
        check_kind(suite, index);
        for (int repeat = 0; activation->tile && repeat < 150; repeat++) run_scene(suite, index, repeat);
    }
}
