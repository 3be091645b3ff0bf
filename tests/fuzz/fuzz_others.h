/* What is no call of fov_attention with real arrays. */
#ifndef FUZZ_OTHERS_H
#define FUZZ_OTHERS_H

#include "choices.h"

void fuzz_sizes(choices *in); /* sizes from all of int64, none of which any memory has */
void fuzz_merge(choices *in); /* fov_merge, and functions that take an index */

#endif
