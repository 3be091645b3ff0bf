#include "oracle.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int64_t n_rows, n_ambiguous;

void oracle_rows(int64_t *n, int64_t *ambiguous)
{
    *n = n_rows;
    *ambiguous = n_ambiguous;
}

/* The conditions of choose_tiles in csrc/attention/plan.c: weights go through tile registers. */
static int rounds_weights(const problem *call)
{
    const fov_attention_args *args = &call->args;
    static const char *const others[] = {"product", "select", "sparsemax", "entmax15", "entmax", "topk"};
    const char *isa = "none";
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (problem_is(call, others[i])) return 0;
    int dot = problem_is(call, "dot") || problem_is(call, "scaled_dot");
    int64_t rows = args->q_len * (args->n_q_heads / args->n_kv_heads), least = dot && args->head_dim >= 16 ? 4 : 9;
    return args->dtype == FOV_BF16 && fov_get_isa(&isa) == FOV_OK && strcmp(isa, "amx") == 0 && rows >= least &&
           args->kv_len >= 16 && args->value_dim >= 16;
}

static rounding rounding_of(const problem *call)
{
    int dtype = call->args.dtype, real = dtype == FOV_F64 ? FOV_F64 : FOV_F32;
    wide u = dtype_roundoff(real);
    /* exp 2 ulp, tanh 4 u absolute, log 1 ulp: csrc/simd/vec_math.h */
    return (rounding){
        u, 4 * u, 4 * u, 2 * u, dtype_tiny(real), dtype_roundoff(dtype), dtype_tiny(dtype), rounds_weights(call) ? 0x1p-8L : 0};
}

/* f16 ends at 65504: what rounds beyond it is infinite. */
static void check_stored(int dtype, wide got, wide want, wide bound, const char *what, int64_t i, int64_t j)
{
    if (dtype == FOV_F16 && fabsl(want) + bound >= 65504)
        check(fabsl(got) >= 65504 - 2 * bound && got * want > 0, "%s overflows", what);
    else check_close(got, want, bound, what, i, j);
}

static void check_output(const problem *call, const rounding *c, int64_t batch, int64_t head, int64_t i, const row *row)
{
    const fov_attention_args *args = &call->args;
    int64_t kv_head = head / (args->n_q_heads / args->n_kv_heads);
    int selects = problem_is(call, "select"), leaves_out = selects; /* keys whose weight is exactly 0 */
    static const char *const sparse[] = {"sparsemax", "entmax15", "entmax", "topk"};
    for (int s = 0; s < 4; s++) leaves_out |= problem_is(call, sparse[s]);
    const wide *weights = selects ? row->selected : row->weights, *errors = selects ? row->selected_errors : row->errors;
    for (int64_t d = 0; d < args->value_dim; d++) {
        wide sum = 0, size = 0, lost = 0;
        int skip = 0;
        for (int64_t j = 0; j < args->kv_len; j++) {
            if (!row->attended[j] || (leaves_out && weights[j] == 0 && errors[j] == 0)) continue;
            wide value = tensor_get(&call->value, batch, kv_head, j, d);
            if (isnan(value) && leaves_out && (row->maybe_zero[j] || weights[j] == 0)) skip = 1; /* taken in or not */
            sum += weights[j] * value;
            size += (errors[j] * (1 + c->u_weight) +
                     (c->u_weight + gamma_of(args->kv_len + 2, c->u) + c->u_out) * fabsl(weights[j])) *
                    fabsl(value);
            lost += c->flushed * (1 + fabsl(value)); /* the product, or the weight before it */
        }
        if (!skip)
            check_stored(args->dtype, tensor_get(&call->output, batch, head, i, d), sum, size + lost + c->flushed_out, "output",
                         i, d);
    }
}

/* w_ij v_jd; what is masked, or left out, is 0. */
static void check_products(const problem *call, const rounding *c, int64_t batch, int64_t head, int64_t i, const row *row)
{
    const fov_attention_args *args = &call->args;
    int64_t kv_head = head / (args->n_q_heads / args->n_kv_heads);
    int sparse =
        problem_is(call, "sparsemax") || problem_is(call, "entmax15") || problem_is(call, "entmax") || problem_is(call, "topk");
    for (int64_t j = 0; j < args->kv_len; j++)
        for (int64_t d = 0; d < call->product_step; d++) {
            wide got = tensor_get(&call->output, batch, head, i, j * call->product_step + d);
            if (d >= args->value_dim) continue;
            wide value = tensor_get(&call->value, batch, kv_head, j, d), want = row->weights[j] * value, bound;
            if (!row->attended[j] || (sparse && row->weights[j] == 0 && row->errors[j] == 0)) want = bound = 0;
            else {
                bound = (row->errors[j] + (c->u + c->u_out) * fabsl(row->weights[j])) * fabsl(value);
                bound += c->flushed * (1 + fabsl(value)) + c->flushed_out;
                if (isnan(value) && row->maybe_zero[j] && sparse) continue;
            }
            check_stored(args->dtype, got, want, bound, "products", i, j);
        }
}

/* Totals of one head: sum or maximum of the weights so far, the bound, and whether a row was ambiguous. */
typedef struct totals {
    wide *sums, *sizes, *max, *errors;
    int ambiguous;
} totals;

static void check_row(const problem *call, const rounding *c, int64_t batch, int64_t head, int64_t i, const encoded *query,
                      const encoded *keys, row *row, totals *totals)
{
    const fov_attention_args *args = &call->args;

    oracle_encode(call, c, head, 0, &call->query, batch, head, i, query);
    oracle_logits(call, c, batch, head, i, query, keys, row);
    oracle_weights(call, c, head, row);
    n_rows++;
    n_ambiguous += row->ambiguous;
    if (!row->ambiguous) {
        if (problem_is(call, "product")) check_products(call, c, batch, head, i, row);
        else check_output(call, c, batch, head, i, row);
    }
    int topk = row->ambiguous && problem_is(call, "topk"); /* a selection does not touch the weights of the activation */
    totals->ambiguous |= topk;
    for (int64_t j = 0; j < args->kv_len; j++) {
        wide w = row->weights[j];
        totals->sums[j] += w;
        totals->sizes[j] += fabsl(w);
        totals->max[j] = isnan(w) || isnan(totals->max[j]) ? (wide)NAN : i == 0 ? w : fmaxl(totals->max[j], w);
        totals->errors[j] = args->key_stats_kind == FOV_KEY_STATS_SUM ? totals->errors[j] + row->errors[j] + c->flushed
                                                                      : fmaxl(totals->errors[j], row->errors[j] + c->flushed);
        wide bound = row->attended[j] ? row->errors[j] + (c->u + c->u_out) * fabsl(w) + c->flushed + c->flushed_out : 0;
        if (args->weights.data && !topk)
            check_stored(args->dtype, tensor_get(&call->weights, batch, head, i, j), w, bound, "weights", i, j);
    }
    if (args->lse.data) check_close(tensor_get(&call->lse, batch, head, i, 0), row->lse, row->lse_bound, "lse", i, 0);
}

/* Weights are reals, and sums of reals as long as they are inside a block; the result rounds once more. */
static void check_key_stats(const problem *call, const rounding *c, int64_t batch, int64_t head, const totals *totals)
{
    const fov_attention_args *args = &call->args;
    int is_max = args->key_stats_kind == FOV_KEY_STATS_MAX;
    for (int64_t j = 0; j < args->kv_len && !totals->ambiguous; j++) {
        wide want = args->q_len == 0 ? 0 : is_max ? totals->max[j] : totals->sums[j];
        wide size = is_max ? fabsl(want) : totals->sizes[j];
        wide bound = totals->errors[j] + gamma_of((is_max ? 0 : args->q_len) + 2, c->u) * size + c->flushed;
        check_close(tensor_get(&call->key_stats, batch, head, 0, j), want, bound, "key_stats", head, j);
    }
}

static wide *wides(int64_t n) { return calloc((size_t)n + 1, sizeof(wide)); }

static void check_head(const problem *call, const rounding *c, int64_t batch, int64_t head)
{
    const fov_attention_args *args = &call->args;
    int64_t n = args->kv_len, dim = call->score_dim, kv_head = head / (args->n_q_heads / args->n_kv_heads);
    row row = {.logits = wides(n),
               .logit_errors = wides(n),
               .weights = wides(n),
               .errors = wides(n),
               .selected = wides(n),
               .selected_errors = wides(n),
               .attended = calloc((size_t)n + 1, 1),
               .maybe_zero = calloc((size_t)n + 1, 1)};
    encoded query = {wides(dim), wides(dim)}, keys = {wides(n * dim), wides(n * dim)};
    totals totals = {wides(n), wides(n), wides(n), wides(n), 0};
    for (int64_t j = 0; j < n; j++) {
        encoded key = {keys.x + j * dim, keys.errors + j * dim};
        oracle_encode(call, c, head, 1, &call->key, batch, kv_head, j, &key);
    }
    for (int64_t i = 0; i < args->q_len && !check_failed(); i++) check_row(call, c, batch, head, i, &query, &keys, &row, &totals);
    if (args->key_stats.data && !check_failed()) check_key_stats(call, c, batch, head, &totals);
    wide *const memory[] = {row.logits,          row.logit_errors, row.weights,  row.errors,   row.selected,
                            row.selected_errors, query.x,          query.errors, keys.x,       keys.errors,
                            totals.sums,         totals.sizes,     totals.max,   totals.errors};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++) free(memory[i]);
    free(row.attended);
    free(row.maybe_zero);
}

void oracle_check(const problem *call)
{
    const rounding c = rounding_of(call);
    for (int64_t batch = 0; batch < call->batch; batch++)
        for (int64_t head = 0; head < call->args.n_q_heads && !check_failed(); head++) check_head(call, &c, batch, head);
}
