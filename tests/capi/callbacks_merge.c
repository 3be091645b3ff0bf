/* fov_merge: states over parts of the keys, merged in any order, against one pass over all of them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "callback_call.h"
#include "callbacks.h"

enum { HEADS = 3, ROWS = 11, KEYS = 96, N_ROWS = HEADS * ROWS };

static double load(const void *array, int64_t i, int dtype)
{
    return dtype == FOV_F64 ? ((const double *)array)[i] : ((const float *)array)[i];
}

static fov_state state_of(const callback_call *call) { return (fov_state){call->output, call->lse}; }

/* The call over the keys [first, first + n) of `whole`. */
static void part_of(callback_call *part, const callback_call *whole, int64_t first, int64_t n)
{
    int64_t item = whole->args.dtype == FOV_F64 ? 8 : 4;
    callback_init(part, whole->args.dtype, 1, HEADS, HEADS, ROWS, KEYS);
    memcpy(part->query, whole->query, (size_t)(N_ROWS * CALL_DIM * item));
    memcpy(part->key, whole->key, (size_t)(HEADS * KEYS * CALL_DIM * item));
    memcpy(part->value, whole->value, (size_t)(HEADS * KEYS * CALL_DIM * item));
    part->args.key.data = (char *)part->key + first * part->args.key.row_bytes;
    part->args.value.data = (char *)part->value + first * part->args.value.row_bytes;
    part->args.kv_len = part->args.kv_lengths.value = n;
    part->args.weights.data = NULL;
    check(callback_run(part) == FOV_OK, "%s", fov_last_problem());
}

/* Logits are whole, values at most 2: each state is within (2 KEYS + 16) u of its row, a merge adds a few u more. */
static void check_against(const callback_call *whole, const fov_state *merged, int dtype, const char *what)
{
    double bound = (4 * KEYS + 64) * (dtype == FOV_F64 ? 0x1p-53 : 0x1p-24);
    for (int64_t row = 0; row < N_ROWS; row++) {
        long double lse = load(whole->lse, row, dtype);
        check_close(load(merged->lse, row, dtype), lse, bound * (1 + fabsl(lse)), what, row, -1);
        for (int64_t d = 0; d < CALL_DIM; d++)
            check_close(load(merged->output, row * CALL_DIM + d, dtype), load(whole->output, row * CALL_DIM + d, dtype),
                        2 * bound, what, row, d);
    }
}

static void test_parts(int dtype)
{
    callback_call whole, parts[3];
    static const int64_t first[3] = {0, 1, 50}, length[3] = {1, 49, KEYS - 50};
    callback_init(&whole, dtype, 1, HEADS, HEADS, ROWS, KEYS);
    check(callback_run(&whole) == FOV_OK, "%s", fov_last_problem());
    size_t size = whole.output_size;
    for (int i = 0; i < 3; i++) part_of(&parts[i], &whole, first[i], length[i]);
    fov_state states[3] = {state_of(&parts[0]), state_of(&parts[1]), state_of(&parts[2])};
    fov_state into = {malloc(size), malloc(size / CALL_DIM)};
    check(fov_merge(dtype, N_ROWS, CALL_DIM, &states[0], &states[1], &into) == FOV_OK, "%s", fov_last_problem());
    check(fov_merge(dtype, N_ROWS, CALL_DIM, &into, &states[2], &into) == FOV_OK, "%s", fov_last_problem());
    check_against(&whole, &into, dtype, "((a b) c)");
    check(fov_merge(dtype, N_ROWS, CALL_DIM, &states[2], &states[1], &states[1]) == FOV_OK, "%s", fov_last_problem());
    check(fov_merge(dtype, N_ROWS, CALL_DIM, &states[1], &states[0], &into) == FOV_OK, "%s", fov_last_problem());
    check_against(&whole, &into, dtype, "((c b) a), into b");
    free(into.output);
    free(into.lse);
    callback_free(&whole);
    for (int i = 0; i < 3; i++) callback_free(&parts[i]);
}

/* A state without keys adds nothing, bit for bit; two of them are one. */
static void test_empty(int dtype)
{
    callback_call some, none;
    callback_init(&some, dtype, 1, HEADS, HEADS, ROWS, KEYS);
    callback_init(&none, dtype, 1, HEADS, HEADS, ROWS, KEYS);
    none.args.kv_lengths.value = 0;
    check(callback_run(&some) == FOV_OK && callback_run(&none) == FOV_OK, "%s", fov_last_problem());
    fov_state a = state_of(&some), b = state_of(&none), into = {malloc(some.output_size), malloc(some.output_size / CALL_DIM)};
    for (int order = 0; order < 2; order++) {
        check(fov_merge(dtype, N_ROWS, CALL_DIM, order ? &a : &b, order ? &b : &a, &into) == FOV_OK, "%s", fov_last_problem());
        check(memcmp(into.output, some.output, some.output_size) == 0, "an empty state changed the output");
        check(memcmp(into.lse, some.lse, some.output_size / CALL_DIM) == 0, "an empty state changed the lse");
    }
    check(fov_merge(dtype, N_ROWS, CALL_DIM, &b, &b, &into) == FOV_OK, "%s", fov_last_problem());
    for (int64_t row = 0; row < N_ROWS; row++) {
        check(load(into.lse, row, dtype) == -INFINITY, "lse of two empty states");
        for (int64_t d = 0; d < CALL_DIM; d++)
            check(load(into.output, row * CALL_DIM + d, dtype) == 0, "output of two empty states");
    }
    free(into.output);
    free(into.lse);
    callback_free(&some);
    callback_free(&none);
}

static void refused(int32_t dtype, int64_t n_rows, int64_t dim, const fov_state *a, const fov_state *b, const fov_state *into,
                    const char *word)
{
    fov_status status = fov_merge(dtype, n_rows, dim, a, b, into);
    check(status != FOV_OK && status != FOV_CANCELLED, "%s: status %d", word, (int)status);
    check(strstr(fov_last_problem(), word) != NULL, "'%s' does not name %s", fov_last_problem(), word);
}

static void test_refused(void)
{
    float numbers[4] = {1, 2, 3, 4};
    fov_state s = {numbers, numbers + 2}, no_output = {NULL, numbers}, no_lse = {numbers, NULL};
    refused(FOV_F16, 1, 1, &s, &s, &s, "dtype");
    refused(-1, 1, 1, &s, &s, &s, "dtype");
    refused(FOV_F32, -1, 1, &s, &s, &s, "n_rows");
    refused(FOV_F32, 1, -1, &s, &s, &s, "dim");
    refused(FOV_F32, INT64_MAX, INT64_MAX, &s, &s, &s, "dim");
    refused(FOV_F32, 1, 1, NULL, &s, &s, "a");
    refused(FOV_F32, 1, 1, &s, NULL, &s, "b");
    refused(FOV_F32, 1, 1, &s, &s, NULL, "into");
    refused(FOV_F32, 1, 1, &s, &no_output, &s, "output");
    refused(FOV_F32, 1, 1, &no_lse, &s, &s, "lse");
    for (int i = 0; i < 4; i++) check(numbers[i] == (float)(i + 1), "a refused merge wrote");
    check(fov_merge(FOV_F32, 0, 5, &no_output, &no_lse, &no_lse) == FOV_OK, "no rows need no arrays");
}

void test_merge(const char *isa)
{
    for (int dtype = FOV_F32; dtype <= FOV_F64; dtype++) {
        check_begin("merge of parts %s %d", isa, dtype);
        test_parts(dtype);
        check_begin("merge of nothing %s %d", isa, dtype);
        test_empty(dtype);
    }
    check_begin("merge refused %s", isa);
    test_refused();
}
