/* Entmax by its definition, and how far weights move with their logits; shared by the tests of kernels and of calls. */
#ifndef TESTS_SPARSE_H
#define TESTS_SPARSE_H

#include "tensor.h"

/* x -> weights in place: w_i = [d_i - tau]_+^(1 / (alpha - 1)), d_i = (alpha - 1) x_i, tau such that they sum to 1. error[i]: how far
 * a weight may be off when every d_i - tau is off by up to `shift` and a solver works in doubles. */
void sparse_weights(wide *x, int64_t n, wide alpha, wide shift, wide *error);

#endif
