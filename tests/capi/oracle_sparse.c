/* Sparse activations and soft selection by their definitions. */
#include <math.h>
#include <stdlib.h>

#include "oracle.h"
#include "sparse.h"

wide oracle_largest_error(const problem *call, const row *row)
{
    wide error = 0;
    for (int64_t j = 0; j < call->args.kv_len; j++)
        if (row->attended[j] && row->logit_errors[j] > error) error = row->logit_errors[j]; /* not the NaN of a NaN logit */
    return error;
}

static int has_nan(const problem *call, const row *row)
{
    int found = 0;
    for (int64_t j = 0; j < call->args.kv_len; j++) found |= row->attended[j] && isnan(row->logits[j]);
    return found;
}

/* 1: some attended logit is NaN, and with it every attended weight. */
static int spread_nan(const problem *call, row *row)
{
    int found = has_nan(call, row);
    for (int64_t j = 0; found && j < call->args.kv_len; j++)
        if (row->attended[j]) row->weights[j] = NAN;
    return found;
}

/* Every logit is off by up to ds, then so is the threshold: twice (alpha - 1) ds; a weight that rounds to a real. */
void oracle_entmax(const problem *call, const rounding *c, wide alpha, row *row)
{
    const int64_t n_keys = call->args.kv_len;
    wide *w = calloc((size_t)n_keys + 1, sizeof *w), *errors = calloc((size_t)n_keys + 1, sizeof *errors);
    int64_t n = 0, at = 0;
    int is_nan = spread_nan(call, row);
    for (int64_t j = 0; j < n_keys; j++)
        if (row->attended[j]) w[n++] = row->logits[j];
    if (n > 0 && !is_nan) {
        sparse_weights(w, n, alpha, 2 * (alpha - 1) * oracle_largest_error(call, row), errors);
        for (int64_t j = 0; j < n_keys; j++) {
            if (!row->attended[j]) continue;
            row->weights[j] = w[at];
            /* sums of n powers in the solver, which are 1 ulp off and their exponent 2 u: 2 u w |log w| <= u */
            row->errors[j] = errors[at] + (w[at] > 0 ? (c->u + gamma_of(n + 4, 0x1p-53L)) * w[at] + 0x1p-53L : 0);
            row->maybe_zero[j] = w[at] <= errors[at] && errors[at] > 0;
            at++;
        }
    }
    free(w);
    free(errors);
}

/* How many attended keys go before key j: larger logits, or the same and earlier. */
static int64_t rank_of(const problem *call, const row *row, int64_t j)
{
    int64_t rank = 0;
    for (int64_t i = 0; i < call->args.kv_len; i++)
        rank += row->attended[i] && (row->logits[i] > row->logits[j] || (row->logits[i] == row->logits[j] && i < j));
    return rank;
}

/* chosen[j]: j is of the k largest. Returns the distance between the least of them and the largest of the others, and that one. */
static wide choose(const problem *call, const row *row, int64_t k, char *chosen, int64_t *next)
{
    wide least = INFINITY, other = -INFINITY;
    *next = -1;
    for (int64_t j = 0; j < call->args.kv_len; j++) {
        chosen[j] = row->attended[j] && rank_of(call, row, j) < k;
        if (chosen[j]) least = fminl(least, row->logits[j]);
        else if (row->attended[j] && (*next < 0 || row->logits[j] > other)) {
            other = row->logits[j];
            *next = j;
        }
    }
    return *next < 0 ? (wide)INFINITY : least - other;
}

void oracle_topk(const problem *call, const rounding *c, row *row)
{
    const int64_t n = call->args.kv_len, k = call->args.top_k;
    char *chosen = calloc((size_t)n + 1, 1);
    wide error = oracle_largest_error(call, row), max = -INFINITY, sum = 0;
    int64_t next;
    if (!spread_nan(call, row)) {
        row->ambiguous = choose(call, row, k, chosen, &next) < 2 * error; /* a tie of exact logits is not */
        for (int64_t j = 0; j < n; j++) max = fmaxl(max, row->logits[j]);
        for (int64_t j = 0; j < n; j++) sum += row->weights[j] = chosen[j] ? expl(row->logits[j] - max) : 0;
        for (int64_t j = 0; j < n; j++) {
            if (chosen[j]) row->weights[j] /= sum;
            row->errors[j] = (2 * error + 2 * c->e_exp + 2 * gamma_of(n + 2, c->u)) * row->weights[j]; /* as softmax */
        }
    }
    free(chosen);
}

/* The power of a weight and how far an error of the weight moves it. */
static wide power_of(wide w, wide error, wide exponent, wide *moved)
{
    wide size = fabsl(w), p = powl(size, exponent), high = powl(size + error, exponent);
    wide low = size > error ? powl(size - error, exponent) : error > size ? -high : 0; /* the sign may be another */
    *moved = fmaxl(high - p, p - low) + 4 * 0x1p-53L * p;
    return copysignl(p, w);
}

/* The order of weights is that of logits for every activation; among equal weights of different logits none is distinguished. */
void oracle_select(const problem *call, row *row)
{
    const int64_t n = call->args.kv_len;
    char *chosen = calloc((size_t)n + 1, 1);
    wide exponent = 1 / (wide)call->args.select_temperature, sum = 0, moved = 0;
    int64_t next;
    int is_nan = has_nan(call, row);
    wide gap = choose(call, row, call->args.select_k, chosen, &next);
    if (!is_nan && next >= 0 && gap < 2 * oracle_largest_error(call, row) && fabsl(row->weights[next]) + row->errors[next] > 0)
        row->ambiguous = 1;
    for (int64_t j = 0; j < n; j++) {
        row->selected[j] = row->selected_errors[j] = 0;
        if (is_nan && row->attended[j]) row->selected[j] = NAN;
        if (is_nan || !chosen[j]) continue;
        row->selected[j] = power_of(row->weights[j], row->errors[j], exponent, &row->selected_errors[j]);
        sum += fabsl(row->selected[j]);
        moved += row->selected_errors[j];
    }
    if (moved > 0 && moved > sum / 2) row->ambiguous = 1; /* nothing but rounding errors is selected */
    for (int64_t j = 0; j < n && !is_nan && !row->ambiguous && sum > 0; j++) {
        wide share = fabsl(row->selected[j]) / sum;
        row->selected[j] /= sum;
        row->selected_errors[j] = (row->selected_errors[j] + share * moved) / (sum - moved) + gamma_of(n + 4, 0x1p-53L) * share;
    }
    free(chosen);
}
