#include "refusals.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "foveate/foveate.h"

enum { LENGTH = 4, DIM = 4, ALIGNMENT = 64 /* what the size of a workspace has for its start; this call has one thread */ };

/* A small valid call; every array is one block of floats. */
typedef struct call {
    fov_attention_args args;
    float data[LENGTH * LENGTH * DIM], lse[LENGTH], weights[LENGTH * LENGTH], w[DIM * DIM];
} call;

static int32_t index_of(const char *(*name_of)(int), const char *name)
{
    int i = 0;
    while (name_of(i) != NULL && strcmp(name_of(i), name) != 0) i++;
    check(name_of(i) != NULL, "%s is not registered", name);
    return i;
}

static call valid(const char *score, const char *activation, const char *combine)
{
    call c = {{0}, {0}, {0}, {0}, {0}};
    fov_attention_args *a = &c.args;
    a->size = sizeof *a;
    a->stages = FOV_STAGE_ALL;
    a->score = index_of(fov_score_name, score);
    a->activation = index_of(fov_activation_name, activation);
    a->combine = index_of(fov_combine_name, combine);
    a->dtype = FOV_F32;
    a->n_q_heads = a->n_kv_heads = 1;
    a->q_len = a->kv_len = LENGTH;
    a->head_dim = a->value_dim = DIM;
    a->scale = 1;
    a->window_left = a->window_right = FOV_OPEN;
    a->kv_lengths.value = LENGTH;
    a->entmax_alpha = 1.5;
    a->top_k = a->select_k = 2;
    a->select_temperature = 1;
    return c;
}

static fov_array view(void *data, int64_t columns)
{
    return (fov_array){.data = data, .row_bytes = columns * 4, .column_bytes = 4, .dtype = FOV_F32};
}

static void point(call *c)
{
    fov_attention_args *a = &c->args;
    a->query = a->key = a->value = a->output = view(c->data, DIM);
    a->output_key_bytes = DIM * 4; /* product: rows LENGTH * DIM apart */
    if (a->combine == index_of(fov_combine_name, "product")) a->output.row_bytes = LENGTH * DIM * 4;
    if (a->score == index_of(fov_score_name, "bilinear")) a->score_w_q = (fov_parameter){c->w, 0, DIM};
    if (a->score == index_of(fov_score_name, "bilinear")) a->score_dim = DIM;
}

/* What both entry points say. */
static void expect(call *c, fov_status want, const char *what)
{
    size_t size = 0;
    fov_status status = fov_workspace_size(&c->args, &size);
    check(status == want, "%s: fov_workspace_size gives %d, expected %d", what, (int)status, (int)want);
    if (status == FOV_OK) {
        char *memory = aligned_alloc(ALIGNMENT, (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
        check(fov_attention(&c->args, memory, size - ALIGNMENT - 1) == FOV_ERROR_WORKSPACE, "%s: a byte less is enough", what);
        check(fov_attention(&c->args, NULL, size) == FOV_ERROR_WORKSPACE, "%s: no workspace is one", what);
        status = fov_attention(&c->args, memory, size);
        free(memory);
    } else {
        char room[64];
        status = fov_attention(&c->args, room, sizeof room);
    }
    check(status == want, "%s: fov_attention gives %d, expected %d", what, (int)status, (int)want);
}

/* statement changes args `a` of a valid call of these stages */
#define REFUSED(score, activation, combine, want, statement)                                                                     \
    do {                                                                                                                         \
        call c = valid(score, activation, combine);                                                                              \
        fov_attention_args *a = &c.args;                                                                                         \
        point(&c);                                                                                                               \
        expect(&c, FOV_OK, "as it is: " #statement);                                                                             \
        point(&c);                                                                                                               \
        statement;                                                                                                               \
        expect(&c, want, #statement);                                                                                            \
    } while (0)

void test_refusals(const char *isa)
{
    const fov_status argument = FOV_ERROR_ARGUMENT, unsupported = FOV_ERROR_UNSUPPORTED;
    static const double bad[] = {0, -1, NAN, INFINITY, -INFINITY};
    check_begin("refusals %s", isa);
    for (int i = 0; i < 5; i++) {
        REFUSED("dot", "softmax", "select", argument, a->select_temperature = bad[i]);
        REFUSED("dot", "entmax", "weighted_sum", argument, a->entmax_alpha = bad[i]);
        if (i > 1) REFUSED("dot", "sigmoid", "weighted_sum", argument, a->sigmoid_bias = bad[i]);
        if (i > 1) REFUSED("dot", "softmax", "weighted_sum", argument, a->scale = bad[i]);
        if (i > 0) REFUSED("dot", "softmax", "weighted_sum", argument, a->softcap = bad[i]);
    }
    REFUSED("dot", "entmax", "weighted_sum", argument, a->entmax_alpha = 1);
    REFUSED("dot", "topk", "weighted_sum", argument, a->top_k = 0);
    REFUSED("dot", "topk", "product", argument, a->top_k = -3);
    REFUSED("dot", "softmax", "select", argument, a->select_k = 0);
    REFUSED("dot", "softmax", "select", argument, a->select_k = -1);

    REFUSED("bilinear", "softmax", "weighted_sum", argument, a->score_w_q.data = NULL);
    REFUSED("bilinear", "softmax", "weighted_sum", argument, a->score_dim = DIM + 1);
    REFUSED("bilinear", "softmax", "weighted_sum", argument, a->key_dim = DIM + 1);
    REFUSED("bilinear", "softmax", "weighted_sum", argument, (a->score_w_k = a->score_w_q));
    REFUSED("bilinear", "softmax", "weighted_sum", argument, (a->score_v = a->score_w_q));
    REFUSED("dot", "softmax", "weighted_sum", argument, a->key_dim = DIM - 1);
    REFUSED("dot", "softmax", "weighted_sum", argument, a->score_dim = DIM - 1);
    REFUSED("dot", "softmax", "weighted_sum", argument, a->key_dim = -1);
    REFUSED("dot", "softmax", "weighted_sum", argument, a->score_w_q.data = c.w);
    REFUSED("cosine", "softmax", "weighted_sum", argument, a->score_w_k.data = c.w);
    REFUSED("cosine", "softmax", "weighted_sum", argument, a->key_dim = DIM + 1);
    REFUSED("additive", "softmax", "weighted_sum", argument, a->key_dim = DIM + 1);
    REFUSED("additive", "softmax", "weighted_sum", argument, a->score_dim = DIM + 1);
    REFUSED("additive", "softmax", "weighted_sum", argument, (a->score_w_k.data = c.w, a->score_dim = DIM + 1));

    static const char *const without_lse[] = {"sigmoid",   "relu",     "relu2",  "tanh", "identity",
                                              "sparsemax", "entmax15", "entmax", "topk"};
    for (int i = 0; i < 9; i++) REFUSED("dot", without_lse[i], "weighted_sum", unsupported, a->lse = view(c.lse, 1));
    static const double sinks[1] = {0};
    for (int i = 0; i < 9; i++) REFUSED("dot", without_lse[i], "product", unsupported, a->sinks = sinks);
    REFUSED("dot", "softmax1", "weighted_sum", unsupported, a->sinks = sinks);

    REFUSED("dot", "relu", "weighted_sum", argument, a->key_stats_kind = FOV_KEY_STATS_SUM);
    REFUSED("dot", "softmax", "select", argument, (a->key_stats_kind = 3, a->key_stats = view(c.weights, LENGTH)));
    REFUSED("dot", "softmax", "select", argument, a->combine = 3);
    REFUSED("dot", "softmax", "select", argument, a->activation = -1);
    REFUSED("dot", "softmax", "product", argument, a->score = 5);
    REFUSED("dot", "softmax", "product", argument, a->output.data = NULL);
    REFUSED("dot", "softmax", "product", argument, a->size = offsetof(fov_attention_args, kv_dtype) - 1);
    REFUSED("dot", "softmax", "product", FOV_ERROR_OVERFLOW, (a->q_len = a->kv_len = INT64_C(1) << 40));
}
