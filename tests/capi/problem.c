#include "problem.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Multiply-adds of one problem: keeps the oracle at a few milliseconds, whose tanh and pow cost as much as ten. */
#define MAX_WORK 300000

static void draw_sizes(problem *call, random_state *random, int large)
{
    fov_attention_args *args = &call->args;
    int64_t group_size;
    args->n_batch_axes = 1;
    args->batch_shape = &call->batch;
    if (large) { /* twice the work for which a call takes a second thread */
        call->batch = args->n_kv_heads = 2;
        args->n_q_heads = PICK(random, 2, 4);
        args->q_len = PICK(random, 1, 3, 61, 130);
        args->kv_len = args->q_len < 8 ? 4000 : 300;
        args->head_dim = PICK(random, 24, 32);
        args->value_dim = PICK(random, 20, 32);
        return;
    }
    do {
        call->batch = PICK(random, 1, 1, 1, 2, 3);
        args->n_kv_heads = PICK(random, 1, 1, 2, 3);
        group_size = PICK(random, 1, 1, 2, 3, 8);
        args->n_q_heads = args->n_kv_heads * group_size;
        args->q_len = PICK(random, 1, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 65, 127, 129);
        args->kv_len =
            PICK(random, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 257, 511, 513, 1025);
        args->head_dim = PICK(random, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 80, 128);
        args->value_dim = PICK(random, 1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 80, 128);
    } while (call->batch * args->n_q_heads * args->q_len * args->kv_len * (args->head_dim + args->value_dim) > MAX_WORK);
    if (random_below(random, 20) == 0) { /* an empty axis */
        int64_t *const axes[] = {&call->batch, &args->q_len, &args->kv_len, &args->head_dim, &args->value_dim};
        *axes[random_below(random, 5)] = 0;
    }
}

static void draw_options(problem *call, random_state *random)
{
    fov_attention_args *args = &call->args;
    args->size = sizeof *args;
    args->stages = FOV_STAGE_ALL;
    args->dtype = (int32_t)PICK(random, FOV_F32, FOV_F32, FOV_F64, FOV_F16, FOV_BF16);
    static const double scales[] = {0, 1, -0.7, 0.125, 2};
    int64_t choice = random_below(random, 8);
    args->scale = choice < 5 ? scales[choice] : 1 / sqrt((double)(args->head_dim > 0 ? args->head_dim : 1));
    args->softcap = random_below(random, 4) == 0 ? random_uniform(random, 1, 30) : 0;
    args->window_left = random_below(random, 3) ? FOV_OPEN : PICK(random, 0, 1, 5, 16, 33, 200);
    args->window_right = random_below(random, 2) ? FOV_OPEN : PICK(random, 0, 0, 0, 1, 17, 100);
}

/* One int64 per batch element, or one for all. */
static void draw_per_batch(problem *call, random_state *random, int flush_end, fov_per_batch *field, guarded *memory,
                           int64_t *stride, int64_t low, int64_t high)
{
    field->value = low + random_below(random, high - low + 1);
    if (random_below(random, 2)) return;
    *memory = guarded_new((size_t)call->batch * sizeof(int64_t), sizeof(int64_t), flush_end);
    int64_t *numbers = (int64_t *)memory->data;
    for (int64_t batch = 0; batch < call->batch; batch++) numbers[batch] = low + random_below(random, high - low + 1);
    *stride = sizeof(int64_t);
    field->data = numbers;
    field->batch_bytes = stride;
}

static const double *draw_per_head(problem *call, random_state *random, int flush_end, guarded *memory)
{
    *memory = guarded_new((size_t)call->args.n_q_heads * sizeof(double), sizeof(double), flush_end);
    double *numbers = (double *)memory->data;
    for (int64_t head = 0; head < call->args.n_q_heads; head++) numbers[head] = random_uniform(random, -1, 1);
    return numbers;
}

static void draw_array(tensor *array, fov_array *field, int dtype, const int64_t shape[4], random_state *random, int flush_end,
                       int broadcast, double magnitude)
{
    tensor_init(array, dtype, shape, (tensor_layout)random_below(random, N_LAYOUTS), broadcast, flush_end);
    if (magnitude > 0) tensor_fill_random(array, shape, random, magnitude);
    *field = array->view;
}

/* Most elements attend; some rows attend nothing. */
static void draw_mask(problem *call, random_state *random, const int64_t shape[4], int flush_end)
{
    int broadcast = (int)random_below(random, 16);
    draw_array(&call->mask, &call->args.mask, FOV_BOOL, shape, random, flush_end, broadcast, 0);
    double density = random_uniform(random, 0.05, 1);
    for (int64_t batch = 0; batch < shape[0]; batch++)
        for (int64_t head = 0; head < shape[1]; head++)
            for (int64_t row = 0; row < shape[2]; row++) {
                double row_density = random_below(random, 8) ? density : 0;
                for (int64_t column = 0; column < shape[3]; column++)
                    tensor_set(&call->mask, batch, head, row, column, random_uniform(random, 0, 1) < row_density);
            }
}

static void draw_bias(problem *call, random_state *random, const int64_t shape[4], int flush_end)
{
    int dtype = (int)PICK(random, FOV_F32, FOV_F64, FOV_F16, FOV_BF16);
    int broadcast = (int)random_below(random, 16);
    draw_array(&call->bias, &call->args.bias, dtype, shape, random, flush_end, broadcast, 4);
    for (int64_t batch = 0; batch < shape[0]; batch++)
        for (int64_t head = 0; head < shape[1]; head++)
            for (int64_t row = 0; row < shape[2]; row++)
                for (int64_t column = 0; column < shape[3]; column++)
                    if (random_below(random, 9) == 0) tensor_set(&call->bias, batch, head, row, column, -INFINITY);
}

/* Where the products or sums go. */
static void draw_output(problem *call, random_state *random, int flush_end)
{
    fov_attention_args *args = &call->args;
    int is_product = problem_is(call, "product");
    int64_t columns = is_product ? args->kv_len * call->product_step : args->value_dim;
    const int64_t shape[4] = {call->batch, args->n_q_heads, args->q_len, columns};
    draw_array(&call->output, &args->output, args->dtype, shape, random, flush_end, 0, 0);
    if (is_product) args->output_key_bytes = call->product_step * args->output.column_bytes;
}

void problem_init(problem *call, random_state *random, int64_t mode, int large, int flush_end)
{
    *call = (problem){0};
    fov_attention_args *args = &call->args;
    draw_sizes(call, random, large);
    draw_options(call, random);
    problem_draw_mode(call, random, mode, flush_end);
    int dtype = args->dtype, real = dtype == FOV_F64 ? FOV_F64 : FOV_F32;
    int has_lse = fov_activation_has_lse(args->activation), has_sinks = problem_is(call, "softmax");
    const int64_t query_shape[4] = {call->batch, args->n_q_heads, args->q_len, args->head_dim};
    const int64_t key_shape[4] = {call->batch, args->n_kv_heads, args->kv_len, call->key_dim};
    const int64_t value_shape[4] = {call->batch, args->n_kv_heads, args->kv_len, args->value_dim};
    const int64_t stats_shape[4] = {call->batch, args->n_q_heads, 1, args->kv_len};
    const int64_t lse_shape[4] = {call->batch, args->n_q_heads, args->q_len, 1};
    const int64_t pair_shape[4] = {call->batch, args->n_q_heads, args->q_len, args->kv_len};
    draw_array(&call->query, &args->query, dtype, query_shape, random, flush_end, 0, 2);
    draw_array(&call->key, &args->key, dtype, key_shape, random, flush_end, 0, 2);
    draw_array(&call->value, &args->value, dtype, value_shape, random, flush_end, 0, 3);
    draw_output(call, random, flush_end);
    if (has_lse && random_below(random, 2)) draw_array(&call->lse, &args->lse, real, lse_shape, random, flush_end, 0, 0);
    args->key_stats_kind = (int32_t)PICK(random, FOV_KEY_STATS_NONE, FOV_KEY_STATS_SUM, FOV_KEY_STATS_MAX);
    if (args->key_stats_kind != FOV_KEY_STATS_NONE)
        draw_array(&call->key_stats, &args->key_stats, real, stats_shape, random, flush_end, 0, 0);
    if (random_below(random, 2)) draw_array(&call->weights, &args->weights, dtype, pair_shape, random, flush_end, 0, 0);
    if (random_below(random, 3) == 0) draw_mask(call, random, pair_shape, flush_end);
    if (random_below(random, 3) == 0) draw_bias(call, random, pair_shape, flush_end);
    if (random_below(random, 4) == 0) args->alibi_slopes = draw_per_head(call, random, flush_end, &call->slopes);
    if (has_sinks && random_below(random, 4) == 0) args->sinks = draw_per_head(call, random, flush_end, &call->sinks);
    draw_per_batch(call, random, flush_end, &args->q_offset, &call->offsets, &call->offset_bytes, -args->kv_len, args->kv_len);
    args->kv_lengths.value = args->kv_len;
    if (random_below(random, 3) == 0)
        draw_per_batch(call, random, flush_end, &args->kv_lengths, &call->lengths, &call->length_bytes, 0, args->kv_len);
    snprintf(call->name, sizeof call->name,
             "%s %s %s %s B%" PRId64 " Hq%" PRId64 " Hkv%" PRId64 " Lq%" PRId64 " Lk%" PRId64 " D%" PRId64 " Dv%" PRId64
             "%s%s%s%s%s%s%s%s%s%s%s%s page %s",
             dtype_name(dtype), fov_score_name(args->score), fov_activation_name(args->activation),
             fov_combine_name(args->combine), call->batch, args->n_q_heads, args->n_kv_heads, args->q_len, args->kv_len,
             args->head_dim, args->value_dim, args->score_w_q.data ? " w_q" : "", args->score_w_k.data ? " w_k" : "",
             args->key_stats_kind ? " stats" : "", args->window_left != FOV_OPEN ? " left" : "",
             args->window_right != FOV_OPEN ? " right" : "", args->softcap != 0 ? " softcap" : "", args->mask.data ? " mask" : "",
             args->bias.data ? " bias" : "", args->alibi_slopes ? " alibi" : "", args->sinks ? " sinks" : "",
             args->weights.data ? " weights" : "", call->lengths.data || args->kv_lengths.value != args->kv_len ? " lengths" : "",
             flush_end ? "after" : "before");
}

void problem_free(problem *call)
{
    tensor *const tensors[] = {&call->query,  &call->key, &call->value,   &call->mask,     &call->bias,
                               &call->output, &call->lse, &call->weights, &call->key_stats};
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) tensor_free(tensors[i]);
    guarded *const others[] = {&call->slopes,    &call->sinks,     &call->offsets, &call->lengths,
                               &call->score_w_q, &call->score_w_k, &call->score_v};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (others[i]->mapping) guarded_free(others[i]);
}

static int64_t per_batch(const fov_per_batch *field, int64_t batch) { return field->data ? field->data[batch] : field->value; }

int64_t problem_offset(const problem *call, int64_t batch) { return per_batch(&call->args.q_offset, batch); }

int problem_attends(const problem *call, int64_t batch, int64_t head, int64_t row, int64_t column)
{
    const fov_attention_args *args = &call->args;
    int64_t distance = column - (row + problem_offset(call, batch));
    if (args->window_left != FOV_OPEN && distance < -args->window_left) return 0;
    if (args->window_right != FOV_OPEN && distance > args->window_right) return 0;
    if (column >= per_batch(&args->kv_lengths, batch)) return 0;
    if (args->mask.data && tensor_get(&call->mask, batch, head, row, column) == 0) return 0;
    return !(args->bias.data && tensor_get(&call->bias, batch, head, row, column) == -INFINITY);
}

void problem_poison(problem *call, random_state *random)
{
    const fov_attention_args *args = &call->args;
    int64_t group_size = args->n_q_heads / args->n_kv_heads;
    for (int64_t batch = 0; batch < call->batch; batch++)
        for (int64_t kv_head = 0; kv_head < args->n_kv_heads; kv_head++)
            for (int64_t column = 0; column < args->kv_len; column++) {
                int attended = 0;
                for (int64_t i = 0; i < group_size * args->q_len && !attended; i++)
                    attended = problem_attends(call, batch, kv_head * group_size + i / args->q_len, i % args->q_len, column);
                if (attended) continue;
                double bad = random_below(random, 2) ? NAN : INFINITY;
                for (int64_t i = 0; i < call->key_dim; i++) tensor_set(&call->key, batch, kv_head, column, i, bad);
                for (int64_t i = 0; i < args->value_dim; i++) tensor_set(&call->value, batch, kv_head, column, i, bad);
            }
    if (call->batch == 0 || args->kv_len == 0 || random_below(random, 3)) return;
    int64_t batch = random_below(random, call->batch), kv_head = random_below(random, args->n_kv_heads);
    int64_t column = random_below(random, args->kv_len);
    if (random_below(random, 2) && call->key_dim > 0)
        tensor_set(&call->key, batch, kv_head, column, random_below(random, call->key_dim), NAN);
    else if (args->value_dim > 0) tensor_set(&call->value, batch, kv_head, column, random_below(random, args->value_dim), NAN);
}
