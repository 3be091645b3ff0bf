/* What a caller lends to a call: modifier, tile mask, cancel flag, threads of its own; on every ISA, f32 and f64, for queries in
 * the lanes, few rows, and several chunks of keys. And the merging of states. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "callback_call.h"
#include "callbacks.h"

typedef struct shape {
    int64_t batch, q_heads, kv_heads, q_len, kv_len;
} shape;

static const shape SHAPES[] = {
    {2, 2, 2, 70, 130}, {1, 6, 2, 33, 200}, {2, 2, 2, 1, 700}, {1, 8, 2, 1, 999}, {2, 3, 1, 2, 5000}, {1, 1, 1, 1, 1},
};
enum { N_SHAPES = sizeof SHAPES / sizeof *SHAPES, REACH = 20 };

static void init(callback_call *call, const shape *s, int dtype)
{
    callback_init(call, dtype, s->batch, s->q_heads, s->kv_heads, s->q_len, s->kv_len);
}

static void *element(const fov_logits_tile *t, int64_t i, int64_t j)
{
    return (char *)t->logits + (i * t->query_stride + j * t->key_stride) * (t->dtype == FOV_F64 ? 8 : 4);
}

static void set(const fov_logits_tile *t, int64_t i, int64_t j, double x)
{
    if (t->dtype == FOV_F64) *(double *)element(t, i, j) = x;
    else *(float *)element(t, i, j) = (float)x;
}

static double get(const fov_logits_tile *t, int64_t i, int64_t j)
{
    return t->dtype == FOV_F64 ? *(double *)element(t, i, j) : *(float *)element(t, i, j);
}

/* What the callbacks of one call share. */
typedef struct lent {
    const fov_attention_args *args;
    int64_t calls, skipped, cancel_at;
    int wrong;              /* a tile out of range or of another type */
    volatile int32_t cancel;
} lent;

static void look(lent *l, const fov_logits_tile *t)
{
    const fov_attention_args *a = l->args;
    int right = t->batch >= 0 && t->batch < a->batch_shape[0] && t->head >= 0 && t->head < a->n_q_heads && t->n_queries > 0 &&
                t->n_keys > 0 && t->first_query >= 0 && t->first_query + t->n_queries <= a->q_len && t->first_key >= 0 &&
                t->first_key + t->n_keys <= a->kv_len && t->dtype == a->dtype;
    if (!right) __atomic_store_n(&l->wrong, 1, __ATOMIC_RELAXED);
}

/* An integer that says which logit it is, exact in float: below 2^24. */
static double number(const fov_attention_args *a, int64_t batch, int64_t head, int64_t query, int64_t key)
{
    return (double)(((batch * a->n_q_heads + head) * a->q_len + query) * a->kv_len + key);
}

static void write_numbers(const fov_logits_tile *t, void *user)
{
    lent *l = user;
    look(l, t);
    for (int64_t i = 0; i < t->n_queries; i++)
        for (int64_t j = 0; j < t->n_keys; j++)
            set(t, i, j, number(l->args, t->batch, t->head, t->first_query + i, t->first_key + j));
}

static int is_far(int64_t query, int64_t key) { return query - key > REACH || key - query > REACH; }

/* Masks what is far, and adds something whole to the rest. */
static void near_keys(const fov_logits_tile *t, void *user)
{
    lent *l = user;
    look(l, t);
    int64_t calls = __atomic_add_fetch(&l->calls, 1, __ATOMIC_RELAXED);
    if (l->cancel_at && calls == l->cancel_at) l->cancel = 1;
    for (int64_t i = 0; i < t->n_queries; i++)
        for (int64_t j = 0; j < t->n_keys; j++) {
            int64_t query = t->first_query + i, key = t->first_key + j;
            set(t, i, j, is_far(query, key) ? -INFINITY : get(t, i, j) + (double)((key - query) % 3));
        }
}

static int some_near(const fov_logits_tile *t, void *user)
{
    lent *l = user;
    look(l, t);
    if (t->logits) l->wrong = 1;
    int64_t last_query = t->first_query + t->n_queries - 1, last_key = t->first_key + t->n_keys - 1;
    int some = t->first_key - last_query <= REACH && t->first_query - last_key <= REACH;
    if (!some) __atomic_add_fetch(&l->skipped, 1, __ATOMIC_RELAXED);
    return some;
}

static void test_places(const shape *s, int dtype)
{
    callback_call call;
    init(&call, s, dtype);
    lent l = {.args = &call.args};
    call.args.activation = FOV_ACTIVATION_IDENTITY;
    call.args.lse.data = NULL;
    call.args.modifier = write_numbers;
    call.args.modifier_user = &l;
    check(callback_run(&call) == FOV_OK, "%s", fov_last_problem());
    check(!l.wrong, "a tile was out of range");
    int64_t n = s->batch * s->q_heads * s->q_len * s->kv_len;
    for (int64_t at = 0; at < n && !check_failed(); at++)
        check(callback_weight(&call, at) == (double)at, "logit %lld is %g", (long long)at, callback_weight(&call, at));
    callback_free(&call);
}

/* The same numbers from a bias array: the logits are exact, so equal. A mask of the far keys as well. */
static void test_like_bias(const shape *s, int dtype)
{
    callback_call call, built_in;
    init(&call, s, dtype);
    init(&built_in, s, dtype);
    lent l = {.args = &call.args};
    call.args.modifier = near_keys;
    call.args.modifier_user = &l;
    call.args.activation = built_in.args.activation = FOV_ACTIVATION_IDENTITY;
    call.args.lse.data = built_in.args.lse.data = NULL;
    float *bias = malloc(sizeof(float) * (size_t)(s->q_len * s->kv_len));
    for (int64_t i = 0; i < s->q_len; i++)
        for (int64_t j = 0; j < s->kv_len; j++) bias[i * s->kv_len + j] = is_far(i, j) ? -INFINITY : (float)((j - i) % 3);
    int64_t none = 0;
    built_in.args.bias = (fov_array){bias, &none, 0, s->kv_len * 4, 4, FOV_F32};
    check(callback_run(&call) == FOV_OK && callback_run(&built_in) == FOV_OK, "%s", fov_last_problem());
    check(l.calls > 0 && !l.wrong, "called %lld times", (long long)l.calls);
    int64_t n = s->batch * s->q_heads * s->q_len * s->kv_len;
    for (int64_t at = 0; at < n && !check_failed(); at++)
        check(callback_weight(&call, at) == callback_weight(&built_in, at), "weight %lld is %g, of the bias %g", (long long)at,
              callback_weight(&call, at), callback_weight(&built_in, at));
    free(bias);
    callback_free(&call);
    callback_free(&built_in);
}

static void test_tile_mask(const shape *s, int dtype)
{
    callback_call all, some;
    init(&all, s, dtype);
    init(&some, s, dtype);
    lent of_all = {.args = &all.args}, of_some = {.args = &some.args};
    all.args.modifier = some.args.modifier = near_keys;
    all.args.modifier_user = &of_all;
    some.args.modifier_user = some.args.tile_mask_user = &of_some;
    some.args.tile_mask = some_near;
    check(callback_run(&all) == FOV_OK && callback_run(&some) == FOV_OK, "%s", fov_last_problem());
    check(callback_same(&all, &some), "skipped tiles changed the result");
    check(!of_all.wrong && !of_some.wrong, "a tile was out of range or had logits");
    check(some.stats.tiles_computed + some.stats.tiles_dead == all.stats.tiles_computed + all.stats.tiles_dead,
          "a tile was not counted");
    if (s->kv_len < 400)
        check((of_some.calls < of_all.calls) == (some.stats.tiles_dead > all.stats.tiles_dead), "modified dead tiles");
    else check(of_some.calls < of_all.calls && some.stats.tiles_dead > 0 && of_some.skipped > 0, "nothing was skipped");
    callback_free(&all);
    callback_free(&some);
}

/* User data without a function, and a flag that stays 0, are nothing. */
static void test_null(const shape *s, int dtype)
{
    callback_call call, plain;
    static const int32_t not_cancelled = 0;
    init(&call, s, dtype);
    init(&plain, s, dtype);
    call.args.modifier_user = call.args.tile_mask_user = call.args.parallel_for_host = &call;
    call.args.cancel = &not_cancelled;
    check(callback_run(&call) == FOV_OK && callback_run(&plain) == FOV_OK, "%s", fov_last_problem());
    check(callback_same(&call, &plain), "user data of NULL callbacks changed the result");
    callback_free(&call);
    callback_free(&plain);
}

static void test_cancel(const shape *s, int dtype)
{
    callback_call call, whole;
    init(&call, s, dtype);
    init(&whole, s, dtype);
    lent of_whole = {.args = &whole.args}, l = {.args = &call.args, .cancel = 1};
    whole.args.modifier = call.args.modifier = near_keys;
    whole.args.modifier_user = &of_whole;
    call.args.modifier_user = &l;
    call.args.cancel = &l.cancel;
    check(callback_run(&whole) == FOV_OK, "%s", fov_last_problem());

    fov_status status = callback_run(&call);
    check(status == FOV_CANCELLED, "cancelled before: status %d", (int)status);
    check(strstr(fov_last_problem(), "cancel") != NULL, "the problem is '%s'", fov_last_problem());
    check(l.calls == 0 && call.stats.tiles_computed == 0, "cancelled before, but %lld tiles",
          (long long)call.stats.tiles_computed);

    l.cancel = 0;
    l.cancel_at = 1;
    int64_t per_tile = s->q_heads / s->kv_heads; /* one call per head of the group or row */
    status = callback_run(&call);
    int64_t most = 4 * (per_tile * s->q_len < 8 ? 8 : per_tile); /* a block of keys meets at most 4 query blocks */
    check(status == FOV_CANCELLED, "cancelled by its first tile: status %d", (int)status);
    check(l.calls >= 1 && l.calls <= most, "%lld calls after it was cancelled, at most %lld", (long long)l.calls,
          (long long)most);

    /* Also in the pass that writes the weights, down to its last tile: what is half written is never called whole. */
    for (int64_t part = 1; part <= 4; part++) {
        l.cancel = 0;
        l.calls = 0;
        l.cancel_at = of_whole.calls - (4 - part) * of_whole.calls / 8;
        status = callback_run(&call);
        check(status == FOV_CANCELLED, "cancelled by tile %lld of %lld: status %d", (long long)l.cancel_at,
              (long long)of_whole.calls, (int)status);
    }

    call.args.q_len = 0;
    status = callback_run(&call);
    check(status == FOV_CANCELLED, "cancelled without a query: status %d", (int)status);
    call.args.q_len = s->q_len;

    l.cancel = 0;
    l.cancel_at = 0;
    check(callback_run(&call) == FOV_OK && callback_same(&call, &whole), "after a cancelled call the next one is another");
    callback_free(&call);
    callback_free(&whole);
}

int main(void)
{
    for (int i = 0; fov_isa_name(i) != NULL; i++) {
        const char *isa = fov_isa_name(i);
        if (!fov_isa_available(i)) continue;
        check_begin("fov_set_isa(\"%s\")", isa);
        check(fov_set_isa(isa) == FOV_OK, "refused an available ISA");
        for (int n = 0; n < N_SHAPES; n++)
            for (int dtype = FOV_F32; dtype <= FOV_F64; dtype++) {
                const shape *s = &SHAPES[n];
                char name[100];
                snprintf(name, sizeof name, "%s %s B%d Hq%d Hkv%d Lq%d Lk%d", isa, dtype == FOV_F64 ? "f64" : "f32",
                         (int)s->batch, (int)s->q_heads, (int)s->kv_heads, (int)s->q_len, (int)s->kv_len);
                check_begin("places %s", name);
                test_places(s, dtype);
                check_begin("like bias %s", name);
                test_like_bias(s, dtype);
                check_begin("tile mask %s", name);
                test_tile_mask(s, dtype);
                check_begin("NULL callbacks %s", name);
                test_null(s, dtype);
                check_begin("cancel %s", name);
                test_cancel(s, dtype);
            }
        test_host_threads(isa);
        test_merge(isa);
        test_tiles_left_behind(i);
    }
    return check_report();
}
