/* A valid call, decoded from bytes: every field of fov_attention_args, arrays in heap memory of exactly their size. */
#ifndef FUZZ_DESCRIPTION_H
#define FUZZ_DESCRIPTION_H

#include "area.h"
#include "foveate/foveate.h"
#include "hosts.h"

enum {
    QUERY,
    KEY,
    VALUE,
    OUTPUT,
    LSE,
    WEIGHTS,
    LOGITS,
    MASK,
    BIAS,
    KEY_STATS,
    K_SCALE,
    V_SCALE,
    N_VIEWS, /* so far those of type fov_array */
    W_Q = N_VIEWS,
    W_K,
    SCORE_V,
    Q_OFFSET,
    KV_LENGTHS,
    SINKS,
    SLOPES,
    N_AREAS
};

typedef struct description {
    fov_attention_args args;
    area areas[N_AREAS];
    int64_t batch_shape[2], batch;
    host host;
    int32_t cancel;
    fov_stats stats;
    int is_tame; /* finite results follow from the arguments */
} description;

void description_make(description *d, choices *in);
void description_free(description *d);
fov_array *description_view(description *d, int which); /* which < N_VIEWS */
int description_is_used(const description *d, int stage);

#endif
