/* The activations by their definitions, with the errors that docs/numerics.md grants. */
#include <math.h>

#include "oracle.h"

static void softmax(const problem *call, const rounding *c, wide sink, row *row)
{
    const fov_attention_args *args = &call->args;
    wide row_max = sink, row_sum = 0, logit_error = oracle_largest_error(call, row);
    wide sum_error = c->u_weight / (1 - c->u_weight); /* of the quotient: the sum is that of the rounded weights */
    int64_t n_terms = args->kv_len + (isfinite(sink) != 0);
    if (isfinite(sink)) logit_error += 3 * c->u * fabsl(sink);
    for (int64_t j = 0; j < args->kv_len; j++) row_max = fmaxl(row_max, row->logits[j]);
    for (int64_t j = 0; j < args->kv_len; j++) {
        row->weights[j] = row->attended[j] ? expl(row->logits[j] - row_max) : 0;
        row_sum += row->weights[j];
    }
    if (isfinite(sink)) row_sum += expl(sink - row_max);
    for (int64_t j = 0; j < args->kv_len; j++) {
        if (row->attended[j]) row->weights[j] /= row_sum;
        wide relative = 2 * logit_error + 2 * c->e_exp + 2 * gamma_of(n_terms, c->u);
        row->errors[j] = (relative + sum_error * (1 + relative)) * row->weights[j];
    }
    row->lse = row_sum == 0 ? (wide)-INFINITY : row_max + logl(row_sum);
    wide size = fabsl(row->lse) + logl((wide)(n_terms > 0 ? n_terms : 1)); /* row_max to and from log2 units, the sum */
    row->lse_bound = sum_error + logit_error + c->e_exp + gamma_of(n_terms, c->u) + (c->e_log + 3 * c->u) * size + c->flushed;
}

/* One attended logit; the error dx of the logit has what its last product rounds. */
static void elementwise(const problem *call, const rounding *c, row *row, int64_t j)
{
    wide x = row->logits[j], dx = row->logit_errors[j], w;
    if (problem_is(call, "identity")) {
        row->weights[j] = x;
        row->errors[j] = dx;
    } else if (problem_is(call, "tanh")) {
        row->weights[j] = tanhl(x);
        row->errors[j] = dx + c->e_tanh; /* |tanh'| <= 1 */
    } else if (problem_is(call, "sigmoid")) { /* d log w = (1 - w) dx; the bias rounds as the logit does, and their sum */
        w = row->weights[j] = 1 / (1 + expl(-(x + (wide)call->args.sigmoid_bias)));
        dx += 3 * c->u * fabsl((wide)call->args.sigmoid_bias);
        row->errors[j] = (dx + c->e_exp + 3 * c->u) * w; /* 1 + e; the reciprocal */
    } else {
        int squares = problem_is(call, "relu2");
        check(squares || problem_is(call, "relu"), "the oracle does not know the activation");
        w = isnan(x) ? x : fmaxl(x, 0);
        row->maybe_zero[j] = fabsl(x) <= dx;
        row->weights[j] = squares ? w * w : w;
        if (isnan(x) || x <= -dx) row->errors[j] = 0;
        else row->errors[j] = squares ? (2 * w + dx) * dx + c->u * (w + dx) * (w + dx) : dx;
    }
}

void oracle_weights(const problem *call, const rounding *c, int64_t head, row *row)
{
    const fov_attention_args *args = &call->args;
    row->ambiguous = 0;
    for (int64_t j = 0; j < args->kv_len; j++) {
        row->weights[j] = row->errors[j] = 0;
        row->maybe_zero[j] = 0;
    }
    if (problem_is(call, "softmax")) softmax(call, c, args->sinks ? (wide)args->sinks[head] : -(wide)INFINITY, row);
    else if (problem_is(call, "softmax1")) softmax(call, c, 0, row);
    else if (problem_is(call, "sparsemax")) oracle_entmax(call, c, 2, row);
    else if (problem_is(call, "entmax15")) oracle_entmax(call, c, 1.5L, row);
    else if (problem_is(call, "entmax")) oracle_entmax(call, c, (wide)args->entmax_alpha, row);
    else if (problem_is(call, "topk")) oracle_topk(call, c, row);
    else
        for (int64_t j = 0; j < args->kv_len; j++)
            if (row->attended[j]) elementwise(call, c, row, j);
    if (problem_is(call, "select")) oracle_select(call, row);
}
