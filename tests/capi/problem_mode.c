#include <math.h>
#include <string.h>

#include "problem.h"

static int count(const char *(*name_of)(int))
{
    int n = 0;
    while (name_of(n) != NULL) n++;
    return n;
}

int64_t problem_n_modes(void) { return (int64_t)count(fov_score_name) * count(fov_activation_name) * count(fov_combine_name); }

int problem_is(const problem *call, const char *stage)
{
    const fov_attention_args *args = &call->args;
    return strcmp(fov_score_name(args->score), stage) == 0 || strcmp(fov_activation_name(args->activation), stage) == 0 ||
           strcmp(fov_combine_name(args->combine), stage) == 0;
}

static int real_of(const problem *call) { return call->args.dtype == FOV_F64 ? FOV_F64 : FOV_F32; }

wide problem_parameter(const problem *call, const fov_parameter *array, int64_t head, int64_t row, int64_t column)
{
    int64_t at = head * array->head_elements + row * array->row_elements + column;
    return dtype_load((const char *)array->data + at * (int64_t)dtype_size(real_of(call)), real_of(call));
}

/* n_rows x n_columns for every head, or one for all; rows may have a gap between them. */
static void draw_parameter(problem *call, random_state *random, int flush_end, fov_parameter *field, guarded *memory,
                           int64_t n_rows, int64_t n_columns)
{
    int64_t item = (int64_t)dtype_size(real_of(call)), row = n_columns + PICK(random, 0, 0, 1, 3);
    int64_t one = n_rows > 0 ? (n_rows - 1) * row + n_columns : 0, heads = 1;
    field->row_elements = row;
    if (random_below(random, 2)) {
        field->head_elements = one + PICK(random, 0, 0, 2);
        heads = call->args.n_q_heads;
    }
    int64_t n = (heads - 1) * field->head_elements + one;
    *memory = guarded_new((size_t)(n * item), (size_t)item, flush_end);
    for (int64_t i = 0; i < n; i++) dtype_store(memory->data + i * item, real_of(call), random_uniform(random, -1, 1));
    field->data = memory->data;
}

/* query -> w_q -> score_dim <- w_k <- key */
static void draw_score(problem *call, random_state *random, int flush_end)
{
    fov_attention_args *args = &call->args;
    int additive = problem_is(call, "additive"), choice = additive ? (int)random_below(random, 4) : problem_is(call, "bilinear");
    int w_q = choice & 1, w_k = choice & 2;
    call->key_dim = call->score_dim = args->head_dim;
    if (w_q) call->key_dim = call->score_dim = PICK(random, 1, 3, 8, 16, 17);
    if (w_k) call->key_dim = PICK(random, 1, 2, 8, 15, 33);
    if (call->key_dim != args->head_dim || random_below(random, 2)) args->key_dim = call->key_dim;
    if (choice || random_below(random, 2)) args->score_dim = call->score_dim;
    if (w_q) draw_parameter(call, random, flush_end, &args->score_w_q, &call->score_w_q, args->head_dim, call->score_dim);
    if (w_k) draw_parameter(call, random, flush_end, &args->score_w_k, &call->score_w_k, call->key_dim, call->score_dim);
    if (additive && random_below(random, 2))
        draw_parameter(call, random, flush_end, &args->score_v, &call->score_v, 1, call->score_dim);
}

void problem_draw_mode(problem *call, random_state *random, int64_t mode, int flush_end)
{
    fov_attention_args *args = &call->args;
    int n_scores = count(fov_score_name), n_activations = count(fov_activation_name);
    args->score = (int32_t)(mode % n_scores);
    args->activation = (int32_t)(mode / n_scores % n_activations);
    args->combine = (int32_t)(mode / n_scores / n_activations % count(fov_combine_name));
    draw_score(call, random, flush_end);
    static const double alphas[] = {1.1, 1.3, 1.5, 2, 3}, temperatures[] = {0.5, 1, 2};
    if (problem_is(call, "sigmoid") && random_below(random, 2)) args->sigmoid_bias = random_uniform(random, -5, 5);
    if (problem_is(call, "entmax")) args->entmax_alpha = alphas[random_below(random, 5)];
    if (problem_is(call, "topk")) args->top_k = PICK(random, 1, 2, 3, 8, 50, 2000);
    if (problem_is(call, "select")) {
        args->select_k = PICK(random, 1, 2, 3, 8, 50, 2000);
        args->select_temperature = temperatures[random_below(random, 3)];
    }
    call->product_step = args->value_dim + PICK(random, 0, 0, 1, 3);
}
