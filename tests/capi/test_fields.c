/* Every field of the arguments, one wrong value at a time: a status, words that name the field, and no result touched. Then what
 * is unusual and allowed: lengths of 0, odd addresses, callbacks that are not there, arrays that are new. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "full_call.h"
#include "odd_addresses.h"
#include "repeated.h"

static full_call c;
static fov_attention_args *const a = &c.args;

static void begin(const char *what)
{
    check_begin("%s", what);
    full_call_make(&c, 0);
}

static void expect(fov_status want, const char *words)
{
    fov_status status = full_call_run(&c);
    check(status == want, "status %d, expected %d", (int)status, (int)want);
    check(strstr(fov_last_problem(), words) != NULL, "the text is \"%s\", without \"%s\"", fov_last_problem(), words);
    check(full_call_is_untouched(&c), "a result was written");
}

/* statement spoils one field of `a` */
#define REFUSED(want, words, statement) (begin(#statement), (void)(statement), expect(want, words))
#define WRONG(words, statement) REFUSED(FOV_ERROR_ARGUMENT, words, statement)
#define ALLOWED(statement) (begin(#statement), (void)(statement), check(full_call_run(&c) == FOV_OK, "%s", fov_last_problem()))

static void test_null(void)
{
    size_t size = 1;
    check_begin("args = NULL");
    check(fov_workspace_size(NULL, &size) == FOV_ERROR_ARGUMENT && size == 0, "fov_workspace_size accepts it");
    check(fov_attention(NULL, c.workspace, WORKSPACE) == FOV_ERROR_ARGUMENT, "fov_attention accepts it");
    check(strstr(fov_last_problem(), "args") != NULL, "the text is \"%s\"", fov_last_problem());
    begin("size = NULL");
    check(fov_workspace_size(a, NULL) == FOV_ERROR_ARGUMENT, "it is accepted");
    WRONG("query.data", a->query.data = NULL);
    WRONG("key.data", a->key.data = NULL);
    WRONG("value.data", a->value.data = NULL);
    WRONG("output.data", a->output.data = NULL);
    WRONG("key_stats.data", a->key_stats.data = NULL);
    WRONG("batch_shape", a->batch_shape = NULL);
    WRONG("score_w_q", (a->score = FOV_SCORE_BILINEAR, memset(&a->score_w_q, 0, 3 * sizeof a->score_w_q)));
    WRONG("logits.data", (a->stages = FOV_STAGE_ACTIVATION));
    WRONG("logits.data", (a->stages = FOV_STAGE_SCORE, a->key_stats_kind = 0));
    WRONG("weights.data", (a->stages = FOV_STAGE_COMBINE, a->key_stats_kind = 0, a->weights.data = NULL));
    WRONG("query.batch_bytes", a->query.batch_bytes = NULL);
    WRONG("key.batch_bytes", a->key.batch_bytes = NULL);
    WRONG("value.batch_bytes", a->value.batch_bytes = NULL);
    WRONG("output.batch_bytes", a->output.batch_bytes = NULL);
    WRONG("lse.batch_bytes", a->lse.batch_bytes = NULL);
    WRONG("weights.batch_bytes", a->weights.batch_bytes = NULL);
    WRONG("mask.batch_bytes", a->mask.batch_bytes = NULL);
    WRONG("bias.batch_bytes", a->bias.batch_bytes = NULL);
    WRONG("key_stats.batch_bytes", a->key_stats.batch_bytes = NULL);
    WRONG("q_offset.batch_bytes", a->q_offset.batch_bytes = NULL);
    WRONG("kv_lengths.batch_bytes", a->kv_lengths.batch_bytes = NULL);
}

static void test_sizes(void)
{
    static const int64_t negative[] = {-1, INT64_MIN};
    for (int i = 0; i < 2; i++) {
        WRONG("batch_shape", c.batch_shape[0] = negative[i]);
        WRONG("n_q_heads", a->n_q_heads = negative[i]);
        WRONG("n_kv_heads", a->n_kv_heads = negative[i]);
        WRONG("q_len", a->q_len = negative[i]);
        WRONG("kv_len", a->kv_len = negative[i]);
        WRONG("head_dim", a->head_dim = negative[i]);
        WRONG("value_dim", a->value_dim = negative[i]);
        WRONG("key_dim", a->key_dim = negative[i]);
        WRONG("score_dim", a->score_dim = negative[i]);
        WRONG("window_left", a->window_left = negative[i]);
        WRONG("window_right", a->window_right = negative[i]);
        WRONG("n_batch_axes", a->n_batch_axes = (int32_t)negative[0]);
    }
    WRONG("multiple", a->n_q_heads = 3);
    WRONG("multiple", a->n_kv_heads = 0);
    REFUSED(FOV_ERROR_OVERFLOW, "q_len", a->q_len = a->kv_len = INT64_C(1) << 40);
    REFUSED(FOV_ERROR_OVERFLOW, "value_dim", a->value_dim = INT64_C(1) << 31);
    REFUSED(FOV_ERROR_OVERFLOW, "",
            (a->n_q_heads = INT64_C(1) << 60, a->n_kv_heads = 1, a->q_len = a->kv_len = 1, c.batch_shape[0] = 1));
    REFUSED(FOV_ERROR_OVERFLOW, "workspace",
            (a->n_q_heads = a->n_kv_heads = a->q_len = 1, a->kv_len = 0, c.batch_shape[0] = INT64_C(1) << 61));
    ALLOWED(c.batch_shape[0] = 0);
    ALLOWED(a->n_q_heads = 0);
    ALLOWED((a->n_q_heads = 0, a->score_w_q.head_elements = 1));
    ALLOWED((a->n_q_heads = a->n_kv_heads = 0));
    ALLOWED(a->q_len = 0);
    ALLOWED(a->kv_len = 0);
    ALLOWED(a->head_dim = 0);
    ALLOWED(a->value_dim = 0);
}

static void test_enumerators(void)
{
    static const int32_t unknown[] = {-1, 11, INT32_MAX, INT32_MIN};
    for (int i = 0; i < 4; i++) {
        WRONG("stages", a->stages = unknown[i]);
        WRONG("score", a->score = unknown[i]);
        WRONG("activation", a->activation = unknown[i]);
        WRONG("combine", a->combine = unknown[i]);
        WRONG("dtype", a->dtype = unknown[i]);
        WRONG("lse.dtype", a->lse.dtype = unknown[i]);
        WRONG("mask.dtype", a->mask.dtype = unknown[i]);
        WRONG("bias.dtype", a->bias.dtype = unknown[i]);
        WRONG("key_stats.dtype", a->key_stats.dtype = unknown[i]);
        WRONG("key_stats_kind", a->key_stats_kind = unknown[i]);
        WRONG("kv_dtype", a->kv_dtype = unknown[i]);
        WRONG("precision", a->precision = unknown[i]);
        WRONG("k_scale.dtype", (a->kv_dtype = FOV_INT8, a->k_scale = a->mask, a->k_scale.dtype = unknown[i]));
        WRONG("v_scale.dtype", (a->kv_dtype = FOV_F8_E4M3, a->v_scale = a->mask, a->v_scale.dtype = unknown[i]));
    }
    WRONG("stages", a->stages = 0);
    WRONG("stages", a->stages = FOV_STAGE_SCORE | FOV_STAGE_ACTIVATION);
    WRONG("dtype", a->dtype = FOV_BOOL);
    WRONG("bias.dtype", a->bias.dtype = FOV_BOOL);
    WRONG("lse.dtype", a->lse.dtype = FOV_F64);
    WRONG("kv_dtype", a->kv_dtype = FOV_BF16);
    WRONG("k_scale", (a->k_scale = a->lse));
    WRONG("v_scale", (a->v_scale = a->lse));
    WRONG("k_scale.batch_bytes", (a->kv_dtype = FOV_INT8, a->k_scale = a->lse, a->k_scale.batch_bytes = NULL));
    WRONG("v_scale", (a->kv_dtype = FOV_INT8, a->v_scale = a->lse, a->v_scale.row_bytes = INT64_C(1) << 60));
    ALLOWED((a->kv_dtype = FOV_INT8, a->k_scale = a->v_scale = a->lse));
    ALLOWED(a->precision = FOV_PRECISION_MEDIUM);
}

/* Results whose elements share bytes. */
static void test_strides(void)
{
    WRONG("output", a->output.row_bytes = 0);
    WRONG("output", a->output.head_bytes = 0);
    WRONG("output", c.batch_bytes[FIRST_RESULT][0] = 0);
    WRONG("output", a->output.column_bytes = 3);
    WRONG("output", a->output.row_bytes = (DIM - 1) * 4);
    WRONG("output", a->output.head_bytes = -a->output.row_bytes);
    WRONG("output", (a->combine = FOV_COMBINE_PRODUCT));
    WRONG("output", (a->combine = FOV_COMBINE_PRODUCT, a->output.row_bytes *= KV_LEN, a->output.head_bytes *= KV_LEN,
                     c.batch_bytes[FIRST_RESULT][0] *= KV_LEN, a->output_key_bytes = 0));
    WRONG("lse", a->lse.row_bytes = 2);
    WRONG("weights", a->weights.column_bytes = 0);
    WRONG("key_stats", a->key_stats.head_bytes = 4);
    WRONG("logits", (a->stages = FOV_STAGE_SCORE, a->key_stats_kind = 0, a->logits = a->weights, a->logits.row_bytes = 4));
    WRONG("query", a->query.row_bytes = INT64_MIN);
    WRONG("value", a->value.column_bytes = INT64_MAX);
    WRONG("mask", c.batch_bytes[4][0] = INT64_C(1) << 50);
    WRONG("score_w_q", a->score_w_q.data = (char *)c.w_q + 1);
    WRONG("score_w_k", a->score_w_k.data = (char *)c.w_k + 2);
    WRONG("score_v", a->score_v.data = (char *)c.v + 3);
    ALLOWED((a->output.row_bytes *= -1, a->output.data = c.arrays[FIRST_RESULT] + 2 * DIM * 4));
    ALLOWED((a->output.row_bytes = DIM * 4 * Q_HEADS, a->output.head_bytes = DIM * 4)); /* heads inside rows */
    ALLOWED((a->query.row_bytes = 0, a->key.head_bytes = 4));                            /* what is read may overlap */
}

static void test_struct_size(void)
{
    static struct {
        fov_attention_args args;
        char later[64];
    } newer;
    size_t needed;
    check_begin("args->size of a later version");
    full_call_make(&c, 0);
    newer.args = c.args;
    newer.args.size = sizeof newer;
    check(fov_attention(&newer.args, c.workspace, WORKSPACE) == FOV_OK, "unused fields: %s", fov_last_problem());
    full_call_make(&c, 0);
    newer.later[63] = 1;
    check(fov_workspace_size(&newer.args, &needed) == FOV_ERROR_ARGUMENT, "fov_workspace_size takes an unknown field");
    check(fov_attention(&newer.args, c.workspace, WORKSPACE) == FOV_ERROR_ARGUMENT, "fov_attention takes an unknown field");
    check(full_call_is_untouched(&c), "a result was written");
    WRONG("size", a->size = 0);
    WRONG("size", a->size = offsetof(fov_attention_args, kv_dtype) - 8); /* the first header ended there */
    ALLOWED(a->size = offsetof(fov_attention_args, kv_dtype));
    WRONG("size", a->size = SIZE_MAX);
}

static void test_workspace(void)
{
    size_t needed = 0;
    begin("workspace");
    check(fov_workspace_size(a, &needed) == FOV_OK, "%s", fov_last_problem());
    char *start = c.workspace + (64 - (uintptr_t)c.workspace % 64) % 64; /* of the 64 spare bytes of the size none is lost here */
    check(fov_attention(a, NULL, needed) == FOV_ERROR_WORKSPACE, "NULL is accepted");
    check(fov_attention(a, start, needed - 65) == FOV_ERROR_WORKSPACE, "a byte less is accepted");
    check(fov_attention(a, start, 0) == FOV_ERROR_WORKSPACE, "no byte is accepted");
    check(strstr(fov_last_problem(), "workspace") != NULL, "the text is \"%s\"", fov_last_problem());
    check(full_call_is_untouched(&c), "a result was written");
    check(fov_attention(a, start, needed - 64) == FOV_OK, "an aligned workspace needs the spare bytes");
}

static void test_absent_callbacks(void)
{
    char expected[N_ARRAYS][ROOM];
    begin("callbacks that are NULL");
    check(full_call_run(&c) == FOV_OK, "%s", fov_last_problem());
    memcpy(expected, c.arrays, sizeof expected);
    full_call_make(&c, 0);
    a->modifier_user = a->tile_mask_user = a->parallel_for_host = &c;
    check(full_call_run(&c) == FOV_OK, "%s", fov_last_problem());
    check(memcmp(expected, c.arrays, sizeof expected) == 0, "what belongs to no callback changes the results");
}

int main(void)
{
    test_null();
    test_sizes();
    test_enumerators();
    test_strides();
    test_struct_size();
    test_workspace();
    test_absent_callbacks();
    test_odd_addresses();
    test_repeated();
    return check_report();
}
