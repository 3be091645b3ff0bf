/* The definition of attention as plain loops, and how far a result may be from it. */
#ifndef TESTS_ORACLE_H
#define TESTS_ORACLE_H

#include "problem.h"

/* Compares output, lse, weights and key_stats with the definition, element by element. */
void oracle_check(const problem *call);

/* Rows seen so far, and those of them whose selection hangs on a difference below the rounding errors: they are not compared. */
void oracle_rows(int64_t *n, int64_t *n_ambiguous);

/* The rounding constants of the compute type (f32, or f64 for f64) and of the result's type. */
typedef struct rounding {
    wide u, e_exp, e_tanh, e_log, flushed, u_out, flushed_out;
    wide u_weight; /* of the weights in a sum: 2^-8 where they are bf16 numbers in tile registers, else 0 */
} rounding;

wide gamma_of(int64_t n, wide u); /* n u / (1 - n u) */

/* One row of queries or keys as the score sees it, after projection and normalisation, and its errors. */
typedef struct encoded {
    wide *x, *errors;
} encoded;

/* One query row. */
typedef struct row {
    wide *logits, *logit_errors; /* -inf where masked; the largest error of an attended logit is ds in docs/numerics.md */
    wide *weights, *errors;      /* 0 where masked */
    wide *selected, *selected_errors; /* select: what multiplies the values */
    char *attended, *maybe_zero; /* maybe_zero: the rounding errors decide whether the weight is 0 */
    int ambiguous;
    wide lse, lse_bound;
} row;

/* oracle_logits.c */
void oracle_encode(const problem *call, const rounding *c, int64_t head, int is_key, const tensor *array, int64_t batch,
                   int64_t array_head, int64_t array_row, const encoded *to);
void oracle_logits(const problem *call, const rounding *c, int64_t batch, int64_t head, int64_t i, const encoded *query,
                   const encoded *keys, row *row);

/* oracle_weights.c */
void oracle_weights(const problem *call, const rounding *c, int64_t head, row *row);

/* oracle_sparse.c: what only some keys take part in; they set `ambiguous` */
void oracle_entmax(const problem *call, const rounding *c, wide alpha, row *row);
void oracle_topk(const problem *call, const rounding *c, row *row);
void oracle_select(const problem *call, row *row);
wide oracle_largest_error(const problem *call, const row *row); /* of the attended logits */

#endif
