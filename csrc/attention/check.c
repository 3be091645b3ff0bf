/* Every field of the arguments, before anything is computed from it. */
#include <math.h>

#include "attention/plan.h"
#include "attention/problem.h"

int64_t fov_product(int64_t a, int64_t b)
{
    if (a < 0 || b < 0) return -1;
    if (a && b > (INT64_MAX >> 1) / a) return -1;
    return a * b;
}

typedef long long ll;

static int needs(const fov_attention_args *a, int stage) { return (a->stages & stage) != 0; }

static fov_status bad_number(const char *name, double came, const char *expected)
{
    return fov_problem(FOV_ERROR_ARGUMENT, "%s must be %s, got %g", name, expected, came);
}

static fov_status check_choice(const char *name, int32_t came, int known)
{
    if (came >= 0 && came < known) return FOV_OK;
    return fov_problem(FOV_ERROR_ARGUMENT, "%s must be an index from 0 to %d, got %d", name, known - 1, (int)came);
}

static fov_status check_size(const char *name, int64_t came)
{
    return came >= 0 ? FOV_OK : fov_problem(FOV_ERROR_ARGUMENT, "%s must be >= 0, got %lld", name, (ll)came);
}

#define TRY(call)                                                                                                                \
    do {                                                                                                                         \
        fov_status status_ = (call);                                                                                             \
        if (status_ != FOV_OK) return status_;                                                                                   \
    } while (0)

static fov_status check_choices(const fov_attention_args *a)
{
    if (a->stages != FOV_STAGE_ALL && a->stages != FOV_STAGE_SCORE && a->stages != FOV_STAGE_ACTIVATION &&
        a->stages != FOV_STAGE_COMBINE)
        return fov_problem(FOV_ERROR_ARGUMENT, "stages must be FOV_STAGE_ALL or one stage, got %d", (int)a->stages);
    TRY(check_choice("score", a->score, FOV_N_SCORES));
    TRY(check_choice("activation", a->activation, FOV_N_ACTIVATIONS));
    TRY(check_choice("combine", a->combine, FOV_N_COMBINES));
    TRY(check_choice("dtype", a->dtype, FOV_N_DTYPES));
    if (a->kv_dtype && a->kv_dtype != FOV_INT8 && a->kv_dtype != FOV_F8_E4M3)
        return fov_problem(FOV_ERROR_ARGUMENT, "kv_dtype must be FOV_INT8, FOV_F8_E4M3, or 0 for the dtype of the call, got %d",
                           (int)a->kv_dtype);
    TRY(check_choice("precision", a->precision, FOV_PRECISION_MEDIUM + 1));
    if (a->mask.data && a->mask.dtype != FOV_BOOL)
        return fov_problem(FOV_ERROR_ARGUMENT, "mask.dtype must be FOV_BOOL, got %d", (int)a->mask.dtype);
    if (a->bias.data) TRY(check_choice("bias.dtype", a->bias.dtype, FOV_N_DTYPES));
    if (a->lse.data && a->lse.dtype != (a->dtype == FOV_F64 ? FOV_F64 : FOV_F32))
        return fov_problem(FOV_ERROR_ARGUMENT, "lse.dtype must be FOV_F32, FOV_F64 for f64, got %d", (int)a->lse.dtype);
    return FOV_OK;
}

static fov_status check_sizes(const fov_attention_args *a)
{
    if (a->n_batch_axes < 0 || (a->n_batch_axes && !a->batch_shape))
        return fov_problem(FOV_ERROR_ARGUMENT, "n_batch_axes must be >= 0 and come with batch_shape, got %d",
                           (int)a->n_batch_axes);
    for (int i = 0; i < a->n_batch_axes; i++) TRY(check_size("batch_shape", a->batch_shape[i]));
    TRY(check_size("n_q_heads", a->n_q_heads));
    TRY(check_size("n_kv_heads", a->n_kv_heads));
    TRY(check_size("q_len", a->q_len));
    TRY(check_size("kv_len", a->kv_len));
    TRY(check_size("head_dim", a->head_dim));
    TRY(check_size("value_dim", a->value_dim));
    TRY(check_size("key_dim", a->key_dim));
    TRY(check_size("score_dim", a->score_dim));
    if (a->n_q_heads != a->n_kv_heads && (a->n_kv_heads ? a->n_q_heads % a->n_kv_heads != 0 : a->n_q_heads != 0))
        return fov_problem(FOV_ERROR_ARGUMENT, "n_q_heads must be a multiple of n_kv_heads, got %lld and %lld", (ll)a->n_q_heads,
                           (ll)a->n_kv_heads);
    if (a->head_dim > INT32_MAX || a->key_dim > INT32_MAX || a->score_dim > INT32_MAX || a->value_dim > INT32_MAX)
        return fov_problem(FOV_ERROR_OVERFLOW, "head_dim, key_dim, score_dim and value_dim must be below 2^31");
    /* bounds every count of rows, weights and tasks; axes of length 0 count as 1 so that no partial product overflows either */
    int64_t n = fov_product(fov_product(a->n_q_heads + !a->n_q_heads, a->q_len + !a->q_len), a->kv_len + !a->kv_len);
    for (int i = 0; i < a->n_batch_axes; i++) n = fov_product(n, a->batch_shape[i] + !a->batch_shape[i]);
    if (n < 0) return fov_problem(FOV_ERROR_OVERFLOW, "batch, n_q_heads, q_len and kv_len must have a product below 2^62");
    return FOV_OK;
}

static fov_status missing(const char *name, const char *why)
{
    return fov_problem(FOV_ERROR_ARGUMENT, "%s must not be NULL %s", name, why);
}

static fov_status check_arrays(const fov_attention_args *a)
{
    int rows = a->n_q_heads && a->q_len, keys = a->n_kv_heads && a->kv_len;
    if (needs(a, FOV_STAGE_SCORE)) {
        if (rows && a->head_dim && !a->query.data) return missing("query.data", "where there are queries");
        if (keys && (a->key_dim || a->head_dim) && !a->key.data) return missing("key.data", "where there are keys");
    }
    if (needs(a, FOV_STAGE_COMBINE) && a->value_dim) {
        if (keys && !a->value.data) return missing("value.data", "where there are keys");
        if (rows && !a->output.data) return missing("output.data", "where there are queries");
    }
    if (!rows || !keys) return FOV_OK;
    if ((a->stages == FOV_STAGE_SCORE || a->stages == FOV_STAGE_ACTIVATION) && !a->logits.data)
        return missing("logits.data", "in this stage");
    if ((a->stages == FOV_STAGE_ACTIVATION || a->stages == FOV_STAGE_COMBINE) && !a->weights.data)
        return missing("weights.data", "in this stage");
    return FOV_OK;
}

static fov_status check_scales(const fov_attention_args *a, const char *name, const fov_array *scale)
{
    if (!scale->data) return FOV_OK;
    if (!a->kv_dtype) return fov_problem(FOV_ERROR_ARGUMENT, "%s must be absent without kv_dtype", name);
    if (scale->dtype != FOV_F32)
        return fov_problem(FOV_ERROR_ARGUMENT, "%s.dtype must be FOV_F32, got %d", name, (int)scale->dtype);
    return FOV_OK;
}

static fov_status check_numbers(const fov_attention_args *a)
{
    if (!isfinite(a->scale)) return bad_number("scale", a->scale, "finite");
    if (!(a->softcap >= 0) || !isfinite(a->softcap)) return bad_number("softcap", a->softcap, "finite and > 0, or 0 for none");
    if (a->window_left < 0 || a->window_right < 0)
        return fov_problem(FOV_ERROR_ARGUMENT, "window_left and window_right must be >= 0, FOV_OPEN for open, got %lld and %lld",
                           (ll)a->window_left, (ll)a->window_right);
    if (needs(a, FOV_STAGE_ACTIVATION)) {
        if (!isfinite(a->sigmoid_bias)) return bad_number("sigmoid_bias", a->sigmoid_bias, "finite");
        if (a->activation == FOV_ACTIVATION_INDEX_entmax && !(a->entmax_alpha > 1 && isfinite(a->entmax_alpha)))
            return bad_number("entmax_alpha", a->entmax_alpha, "finite and > 1");
        if (a->activation == FOV_ACTIVATION_INDEX_topk && a->top_k < 1) return bad_number("top_k", (double)a->top_k, ">= 1");
    }
    if (needs(a, FOV_STAGE_COMBINE) && a->combine == FOV_COMBINE_INDEX_select) {
        if (a->select_k < 1) return bad_number("select_k", (double)a->select_k, ">= 1");
        if (!(a->select_temperature > 0 && isfinite(a->select_temperature)))
            return bad_number("select_temperature", a->select_temperature, "finite and > 0");
    }
    return FOV_OK;
}

static fov_status check_key_stats(const fov_attention_args *a)
{
    if (a->key_stats_kind < FOV_KEY_STATS_NONE || a->key_stats_kind > FOV_KEY_STATS_MAX)
        return fov_problem(FOV_ERROR_ARGUMENT, "key_stats_kind must be 0, 1 or 2, got %d", (int)a->key_stats_kind);
    if (a->key_stats_kind == FOV_KEY_STATS_NONE) return FOV_OK;
    if (!needs(a, FOV_STAGE_ACTIVATION))
        return fov_problem(FOV_ERROR_ARGUMENT, "key_stats_kind must be 0 where no activation runs");
    if (!a->key_stats.data && a->kv_len) return missing("key_stats.data", "with key_stats_kind");
    if (a->key_stats.dtype != (a->dtype == FOV_F64 ? FOV_F64 : FOV_F32))
        return fov_problem(FOV_ERROR_ARGUMENT, "key_stats.dtype must be FOV_F32, FOV_F64 for f64, got %d",
                           (int)a->key_stats.dtype);
    return FOV_OK;
}

int64_t fov_score_dim(const fov_attention_args *a)
{
    if (!a->score_w_q.data && !a->score_w_k.data) return a->head_dim;
    if (a->score_dim) return a->score_dim;
    return a->score_w_q.data && a->key_dim ? a->key_dim : a->head_dim;
}

/* The widths that the score multiplies must agree: head_dim -> w_q -> score_dim <- w_k <- key_dim. */
static fov_status check_score(const fov_attention_args *a)
{
    int projects_query = a->score_w_q.data != NULL, projects_key = a->score_w_k.data != NULL;
    int bilinear = a->score == FOV_SCORE_INDEX_bilinear, additive = a->score == FOV_SCORE_INDEX_additive;
    int64_t key_dim = a->key_dim ? a->key_dim : a->head_dim, score_dim = fov_score_dim(a);
    if (!needs(a, FOV_STAGE_SCORE)) return FOV_OK;
    if (!additive && projects_key) return fov_problem(FOV_ERROR_ARGUMENT, "score_w_k must be NULL for any score but additive");
    if (!additive && a->score_v.data) return fov_problem(FOV_ERROR_ARGUMENT, "score_v must be NULL for any score but additive");
    if (bilinear && !projects_query) return missing("score_w_q.data", "for the score bilinear");
    if (!additive && !bilinear && projects_query)
        return fov_problem(FOV_ERROR_ARGUMENT, "score_w_q must be NULL for any score but additive and bilinear");
    if (!projects_query && !projects_key && a->score_dim) score_dim = a->score_dim;
    if (!projects_query && score_dim != a->head_dim)
        return fov_problem(FOV_ERROR_ARGUMENT, "score_dim must be head_dim, %lld, without score_w_q, got %lld", (ll)a->head_dim,
                           (ll)score_dim);
    if (!projects_key && score_dim != key_dim)
        return fov_problem(FOV_ERROR_ARGUMENT, "score_dim must be key_dim, %lld, without score_w_k, got %lld", (ll)key_dim,
                           (ll)score_dim);
    uintptr_t addresses = (uintptr_t)a->score_w_q.data | (uintptr_t)a->score_w_k.data | (uintptr_t)a->score_v.data;
    if (addresses % (a->dtype == FOV_F64 ? sizeof(double) : sizeof(float)) != 0)
        return fov_problem(FOV_ERROR_ARGUMENT, "score_w_q, score_w_k and score_v must be aligned to their type");
    return FOV_OK;
}

fov_status fov_check(const fov_attention_args *a)
{
    TRY(check_choices(a));
    TRY(check_sizes(a));
    TRY(check_numbers(a));
    TRY(check_score(a));
    TRY(check_arrays(a));
    TRY(check_key_stats(a));
    TRY(check_scales(a, "k_scale", &a->k_scale));
    TRY(check_scales(a, "v_scale", &a->v_scale));
    return fov_check_strides(a);
}
