/* Scores and modifiers by their definitions, with the errors that docs/numerics.md grants. */
#include <math.h>
#include <stdlib.h>

#include "oracle.h"

wide gamma_of(int64_t n, wide u) { return (wide)n * u / (1 - (wide)n * u); }

/* x / |x|; the root halves the error of the sum of squares; root, quotient, its rounding to a real, the product with it. */
static void normalise(const rounding *c, int64_t n, const encoded *to)
{
    wide squares = 0;
    for (int64_t d = 0; d < n; d++) squares += to->x[d] * to->x[d];
    for (int64_t d = 0; d < n; d++) {
        to->x[d] = squares == 0 ? 0 : to->x[d] / sqrtl(squares);
        to->errors[d] = (gamma_of(n + 1, c->u) / 2 + gamma_of(5, c->u)) * fabsl(to->x[d]) + c->flushed;
    }
}

void oracle_encode(const problem *call, const rounding *c, int64_t head, int is_key, const tensor *array, int64_t batch,
                   int64_t array_head, int64_t array_row, const encoded *to)
{
    const fov_parameter *w = is_key ? &call->args.score_w_k : &call->args.score_w_q;
    int64_t dim = is_key ? call->key_dim : call->args.head_dim;
    for (int64_t e = 0; e < call->score_dim; e++) {
        to->errors[e] = 0;
        if (!w->data) {
            to->x[e] = tensor_get(array, batch, array_head, array_row, e);
            continue;
        }
        wide sum = 0, size = 0;
        for (int64_t d = 0; d < dim; d++) {
            wide term = tensor_get(array, batch, array_head, array_row, d) * problem_parameter(call, w, head, d, e);
            sum += term;
            size += fabsl(term);
        }
        to->x[e] = sum;
        to->errors[e] = gamma_of(dim, c->u) * size + (wide)dim * c->flushed;
    }
    if (problem_is(call, "cosine")) normalise(c, call->score_dim, to);
}

/* sum_e q_e k_e of rows that have errors of their own */
static wide dot(const problem *call, const rounding *c, const encoded *q, const encoded *k, wide *error)
{
    wide sum = 0, size = 0, carried = 0;
    for (int64_t e = 0; e < call->score_dim; e++) {
        sum += q->x[e] * k->x[e];
        size += fabsl(q->x[e] * k->x[e]);
        carried += q->errors[e] * (fabsl(k->x[e]) + k->errors[e]) + fabsl(q->x[e]) * k->errors[e];
    }
    *error = carried + gamma_of(call->score_dim + 1, c->u) * (size + carried) + (wide)call->score_dim * c->flushed;
    return sum;
}

/* sum_e v_e tanh(q_e + k_e): tanh passes on at most the errors of its argument. Its own are those of kernels_additive.c: by
 * exponentials at most 2 r ((1 - r) 9 + 20 + D + 1) u |v| <= 2 (22 + D + 1) u |v| with r in (0, 1) ((1 - r) r 9 < 2.25), whole and
 * the difference 2 u, the sum of v in double; by tanh 5 u |v| and its sum. */
static wide additive(const problem *call, const rounding *c, int64_t head, const encoded *q, const encoded *k, wide *error)
{
    wide sum = 0, sizes = 0, carried = 0;
    int64_t n = call->score_dim;
    for (int64_t e = 0; e < n; e++) {
        wide v = call->args.score_v.data ? problem_parameter(call, &call->args.score_v, head, 0, e) : 1;
        sum += v * tanhl(q->x[e] + k->x[e]);
        sizes += fabsl(v);
        carried += fabsl(v) * (q->errors[e] + k->errors[e]);
    }
    *error = carried + (2 * gamma_of(n + 23, c->u) + 2 * c->u + gamma_of(n, 0x1p-53L)) * sizes + 2 * (wide)(n + 1) * c->flushed;
    return sum;
}

void oracle_logits(const problem *call, const rounding *c, int64_t batch, int64_t head, int64_t i, const encoded *query,
                   const encoded *keys, row *row)
{
    const fov_attention_args *args = &call->args;
    wide scale = (wide)args->scale, error;
    int is_additive = problem_is(call, "additive");
    for (int64_t j = 0; j < args->kv_len; j++) {
        encoded key = {keys->x + j * call->score_dim, keys->errors + j * call->score_dim};
        row->logits[j] = -INFINITY;
        row->attended[j] = (char)problem_attends(call, batch, head, i, j);
        if (!row->attended[j]) continue;
        wide x = is_additive ? additive(call, c, head, query, &key, &error) : dot(call, c, query, &key, &error);
        x *= scale;
        error = error * fabsl(scale) + c->u * fabsl(x);
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
        row->logit_errors[j] = error;
    }
}
