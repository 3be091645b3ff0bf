/* Every field of the arguments, before anything is computed from it. */
#include "attention/plan.h"

/* a * b, or -1 when a factor is -1 or the product leaves 62 bits. */
int64_t fov_product(int64_t a, int64_t b)
{
    if (a < 0 || b < 0) return -1;
    if (a && b > (INT64_MAX >> 1) / a) return -1;
    return a * b;
}

static int needs(const fov_attention_args *a, int stage) { return (a->stages & stage) != 0; }

int64_t fov_score_dim(const fov_attention_args *a)
{
    if (!a->score_w_q.data && !a->score_w_k.data) return a->head_dim;
    if (a->score_dim) return a->score_dim;
    return a->score_w_q.data && a->key_dim ? a->key_dim : a->head_dim;
}

/* The widths that the score multiplies must agree: head_dim -> w_q -> score_dim <- w_k <- key_dim. */
static int score_fits(const fov_attention_args *a)
{
    int projects_query = a->score_w_q.data != NULL, projects_key = a->score_w_k.data != NULL;
    int bilinear = a->score == FOV_SCORE_INDEX_bilinear, additive = a->score == FOV_SCORE_INDEX_additive;
    int64_t key_dim = a->key_dim ? a->key_dim : a->head_dim, score_dim = fov_score_dim(a);
    if (a->key_dim < 0 || a->score_dim < 0) return 0;
    if (!additive && (projects_key || a->score_v.data)) return 0;
    if (!additive && projects_query != bilinear) return 0;
    if (!projects_query && !projects_key && a->score_dim && a->score_dim != a->head_dim) return 0;
    return (projects_query || score_dim == a->head_dim) && (projects_key || score_dim == key_dim);
}

static int parameters_fit(const fov_attention_args *a)
{
    if (needs(a, FOV_STAGE_ACTIVATION)) {
        if (!(a->sigmoid_bias - a->sigmoid_bias == 0)) return 0;
        if (a->activation == FOV_ACTIVATION_INDEX_entmax && !(a->entmax_alpha > 1 && a->entmax_alpha - a->entmax_alpha == 0))
            return 0;
        if (a->activation == FOV_ACTIVATION_INDEX_topk && a->top_k < 1) return 0;
    }
    if (needs(a, FOV_STAGE_COMBINE) && a->combine == FOV_COMBINE_INDEX_select)
        if (a->select_k < 1 || !(a->select_temperature > 0 && a->select_temperature - a->select_temperature == 0)) return 0;
    if (a->key_stats_kind < FOV_KEY_STATS_NONE || a->key_stats_kind > FOV_KEY_STATS_MAX) return 0;
    if (a->key_stats_kind != FOV_KEY_STATS_NONE && (!needs(a, FOV_STAGE_ACTIVATION) || !a->key_stats.data)) return 0;
    return 1;
}

fov_status fov_check(const fov_attention_args *a)
{
    if (!a || a->size < sizeof *a) return FOV_ERROR_ARGUMENT;
    if (a->stages != FOV_STAGE_ALL && a->stages != FOV_STAGE_SCORE && a->stages != FOV_STAGE_ACTIVATION &&
        a->stages != FOV_STAGE_COMBINE)
        return FOV_ERROR_ARGUMENT;
    if (a->score < 0 || a->score >= FOV_N_SCORES || a->activation < 0 || a->activation >= FOV_N_ACTIVATIONS || a->combine < 0 ||
        a->combine >= FOV_N_COMBINES || a->dtype < 0 || a->dtype >= FOV_N_DTYPES)
        return FOV_ERROR_ARGUMENT;
    if (a->n_batch_axes < 0 || (a->n_batch_axes && !a->batch_shape) || a->n_q_heads < 0 || a->n_kv_heads < 0 || a->q_len < 0 ||
        a->kv_len < 0 || a->head_dim < 0 || a->value_dim < 0)
        return FOV_ERROR_ARGUMENT;
    if (a->n_kv_heads ? a->n_q_heads % a->n_kv_heads != 0 : a->n_q_heads != 0) return FOV_ERROR_ARGUMENT;
    if (!(a->scale - a->scale == 0) || !(a->softcap >= 0) || a->softcap - a->softcap != 0) return FOV_ERROR_ARGUMENT;
    if (a->window_left < 0 || a->window_right < 0) return FOV_ERROR_ARGUMENT;
    if (a->mask.data && a->mask.dtype != FOV_BOOL) return FOV_ERROR_ARGUMENT;
    if (a->bias.data && (a->bias.dtype < 0 || a->bias.dtype >= FOV_N_DTYPES)) return FOV_ERROR_ARGUMENT;

    int rows = a->n_q_heads && a->q_len, keys = a->n_kv_heads && a->kv_len;
    if (needs(a, FOV_STAGE_SCORE) && a->head_dim && ((rows && !a->query.data) || (keys && !a->key.data)))
        return FOV_ERROR_ARGUMENT;
    if (needs(a, FOV_STAGE_SCORE) && !score_fits(a)) return FOV_ERROR_ARGUMENT;
    if (!parameters_fit(a)) return FOV_ERROR_ARGUMENT;
    if (needs(a, FOV_STAGE_COMBINE) && a->value_dim && ((keys && !a->value.data) || (rows && !a->output.data)))
        return FOV_ERROR_ARGUMENT;
    if (a->stages == FOV_STAGE_SCORE && rows && keys && !a->logits.data) return FOV_ERROR_ARGUMENT;
    if (a->stages == FOV_STAGE_ACTIVATION && rows && keys && (!a->logits.data || !a->weights.data)) return FOV_ERROR_ARGUMENT;
    if (a->stages == FOV_STAGE_COMBINE && rows && keys && !a->weights.data) return FOV_ERROR_ARGUMENT;

    /* bounds every count of rows, weights and tasks; axes of length 0 count as 1 so that no partial product overflows either */
    int64_t n = fov_product(fov_product(a->n_q_heads + !a->n_q_heads, a->q_len + !a->q_len), a->kv_len + !a->kv_len);
    for (int i = 0; i < a->n_batch_axes; i++) n = fov_product(n, a->batch_shape[i] + !a->batch_shape[i]);
    if (n < 0 || a->head_dim > INT32_MAX || a->key_dim > INT32_MAX || a->score_dim > INT32_MAX || a->value_dim > INT32_MAX)
        return FOV_ERROR_OVERFLOW;
    return FOV_OK;
}
