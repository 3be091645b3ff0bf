#include "oracle.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The rounding constants of the compute type (f32, or f64 for f64) and of the result's type. */
typedef struct rounding {
    wide u, e_exp, e_tanh, e_log, flushed, u_out, flushed_out;
} rounding;

static rounding rounding_of(int dtype)
{
    int real = dtype == FOV_F64 ? FOV_F64 : FOV_F32;
    wide u = dtype_roundoff(real);
    /* exp 2 ulp, tanh 4 u absolute, log 1 ulp: csrc/simd/vec_math.h */
    return (rounding){u, 4 * u, 4 * u, 2 * u, dtype_tiny(real), dtype_roundoff(dtype), dtype_tiny(dtype)};
}

static wide gamma_of(int64_t n, wide u) { return (wide)n * u / (1 - (wide)n * u); }

/* One query row. */
typedef struct row {
    wide *logits, *weights; /* of the keys; -inf and 0 where masked */
    char *attended;
    wide logit_error; /* the largest error of an attended logit, ds in docs/numerics.md */
    wide lse;
} row;

static wide multiplied(const problem *call, const char *score)
{
    if (strcmp(score, "dot") == 0 || strcmp(score, "scaled_dot") == 0) return (wide)call->args.scale;
    check(0, "the oracle does not know the score %s", score);
    return 0;
}

static void fill_logits(const problem *call, const rounding *c, int64_t batch, int64_t head, int64_t i, row *row)
{
    const fov_attention_args *args = &call->args;
    int64_t kv_head = head / (args->n_q_heads / args->n_kv_heads);
    wide scale = multiplied(call, fov_score_name(args->score));
    row->logit_error = 0;
    for (int64_t j = 0; j < args->kv_len; j++) {
        row->logits[j] = -INFINITY;
        row->attended[j] = (char)problem_attends(call, batch, head, i, j);
        if (!row->attended[j]) continue;
        wide x = 0, size = 0;
        for (int64_t d = 0; d < args->head_dim; d++) {
            wide term = tensor_get(&call->query, batch, head, i, d) * tensor_get(&call->key, batch, kv_head, j, d);
            x += term;
            size += fabsl(term);
        }
        x *= scale;
        wide error = gamma_of(args->head_dim + 1, c->u) * fabsl(scale) * size;
        if (args->softcap != 0) {
            wide cap = (wide)args->softcap;
            x = cap * tanhl(x / cap);
            error += cap * (c->e_tanh + 2 * c->u); /* x / c and the last product round too */
        }
        if (args->bias.data) {
            wide bias = tensor_get(&call->bias, batch, head, i, j);
            x += bias;
            error += 2 * c->u * fabsl(bias); /* an f64 bias rounds to f32; the sum */
        }
        if (args->alibi_slopes) {
            wide alibi = (wide)args->alibi_slopes[head] * (wide)(j - (i + problem_offset(call, batch)));
            x += alibi;
            error += 3 * c->u * fabsl(alibi); /* the slope, the product, the sum */
        }
        error += 3 * c->u * fabsl(x); /* to log2 units: the constant, its product, the distance from row_max */
        row->logits[j] = x;
        if (error > row->logit_error) row->logit_error = error; /* not the NaN of a NaN logit */
    }
    if (args->sinks) row->logit_error += 3 * c->u * fabsl((wide)args->sinks[head]);
}

/* Weights and lse of a row; returns the relative error that a weight may have. */
static wide fill_weights(const problem *call, const rounding *c, int64_t head, row *row)
{
    const fov_attention_args *args = &call->args;
    const char *activation = fov_activation_name(args->activation);
    int64_t n_terms = args->kv_len + (args->sinks != NULL);
    if (strcmp(activation, "sigmoid") == 0) {
        for (int64_t j = 0; j < args->kv_len; j++) row->weights[j] = row->attended[j] ? 1 / (1 + expl(-row->logits[j])) : 0;
        return row->logit_error + c->e_exp + 3 * c->u + gamma_of(n_terms, c->u); /* d log w = (1 - w) dx; 1 + e, quotient */
    }
    if (strcmp(activation, "softmax") != 0) check(0, "the oracle does not know the activation %s", activation);
    wide sink = args->sinks ? (wide)args->sinks[head] : -INFINITY;
    wide row_max = sink, row_sum = 0;
    for (int64_t j = 0; j < args->kv_len; j++) row_max = fmaxl(row_max, row->logits[j]);
    for (int64_t j = 0; j < args->kv_len; j++) {
        row->weights[j] = row->attended[j] ? expl(row->logits[j] - row_max) : 0;
        row_sum += row->weights[j];
    }
    if (args->sinks) row_sum += expl(sink - row_max);
    for (int64_t j = 0; j < args->kv_len; j++)
        if (row->attended[j]) row->weights[j] /= row_sum;
    row->lse = row_sum == 0 ? (wide)-INFINITY : row_max + logl(row_sum);
    return 2 * row->logit_error + 2 * c->e_exp + 2 * gamma_of(n_terms, c->u);
}

static void check_row(const problem *call, const rounding *c, int64_t batch, int64_t head, int64_t i, row *row)
{
    const fov_attention_args *args = &call->args;
    int64_t kv_head = head / (args->n_q_heads / args->n_kv_heads);
    fill_logits(call, c, batch, head, i, row);
    wide relative = fill_weights(call, c, head, row);
    for (int64_t d = 0; d < args->value_dim; d++) {
        wide sum = 0, size = 0, lost = 0;
        for (int64_t j = 0; j < args->kv_len; j++) {
            if (!row->attended[j]) continue; /* what a masked value holds does not matter */
            wide value = tensor_get(&call->value, batch, kv_head, j, d);
            sum += row->weights[j] * value;
            size += row->weights[j] * fabsl(value);
            lost += c->flushed * (1 + fabsl(value)); /* the product, or the weight before it */
        }
        check_close(tensor_get(&call->output, batch, head, i, d), sum, (relative + c->u_out) * size + lost + c->flushed_out,
                    "output", i, d);
    }
    if (args->weights.data)
        for (int64_t j = 0; j < args->kv_len; j++)
            check_close(tensor_get(&call->weights, batch, head, i, j), row->weights[j],
                        row->attended[j] ? (relative + c->u_out) * row->weights[j] + c->flushed + c->flushed_out : 0, "weights",
                        i, j);
    if (args->lse.data) {
        int64_t n_terms = args->kv_len + (args->sinks != NULL);
        wide size = fabsl(row->lse) + logl((wide)(n_terms > 0 ? n_terms : 1)); /* row_max to and from log2 units, the sum */
        wide bound = row->logit_error + c->e_exp + gamma_of(n_terms, c->u) + (c->e_log + 3 * c->u) * size + c->flushed;
        check_close(tensor_get(&call->lse, batch, head, i, 0), row->lse, bound, "lse", i, 0);
    }
}

void oracle_check(const problem *call)
{
    const fov_attention_args *args = &call->args;
    size_t n = (size_t)args->kv_len + 1;
    row row = {.logits = calloc(n, sizeof(wide)), .weights = calloc(n, sizeof(wide)), .attended = calloc(n, 1)};
    const rounding c = rounding_of(args->dtype);
    for (int64_t batch = 0; batch < call->batch; batch++)
        for (int64_t head = 0; head < args->n_q_heads; head++)
            for (int64_t i = 0; i < args->q_len && !check_failed(); i++) check_row(call, &c, batch, head, i, &row);
    free(row.logits);
    free(row.weights);
    free(row.attended);
}
