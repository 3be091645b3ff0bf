/* Entmax by its definition, and how far weights move with their logits; shared by the tests of kernels and of calls. */
#ifndef TESTS_SPARSE_H
#define TESTS_SPARSE_H

#include "tensor.h"

/* The threshold of entmax over n finite logits: sum [d_i - tau]_+^(1 / (alpha - 1)) = 1, d_i = (alpha - 1) (x_i - max). */
wide sparse_threshold(const wide *x, int64_t n, wide alpha);

/* x -> weights in place. error[i]: how far a weight may be off when every d_i - tau is off by up to `shift` and the weights are
 * then divided by their sum. Returns the number of weights that may be zero or not. */
int64_t sparse_weights(wide *x, int64_t n, wide alpha, wide shift, wide *error);

/* Of the threshold that a solver finds in doubles, in units of d. */
wide sparse_threshold_error(const wide *x, int64_t n, wide alpha);

#endif
