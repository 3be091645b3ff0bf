#include "api/last_plan.h"

#include <stddef.h>
#include <string.h>

/* Compared byte by byte: padding that differs is a plan made anew, no more. isa is NULL until the first plan. */
static _Thread_local struct {
    fov_attention_args args;
    fov_plan plan;
} last;

/* Calls that use a field behind these are not kept, and those fields need no comparison: 2 % of a tiny call. */
enum { COMPARED = offsetof(fov_attention_args, kv_dtype) };

static int uses_more(const fov_attention_args *args)
{
    return args->kv_dtype || args->k_scale.data || args->v_scale.data || args->precision;
}

/* A plan knows of an array whether it is there and how it lies: new arrays of the same form have the same plan. */
static int64_t differs(const fov_array *a, const fov_array *b)
{
    return (!a->data ^ !b->data) | (a->batch_bytes != b->batch_bytes) | (a->head_bytes ^ b->head_bytes) |
           (a->row_bytes ^ b->row_bytes) | (a->column_bytes ^ b->column_bytes) | (a->dtype ^ b->dtype);
}

static int same_args(const fov_attention_args *a, const fov_attention_args *b)
{
    enum { ARRAYS = offsetof(fov_attention_args, query), REST = offsetof(fov_attention_args, lse) };
    _Static_assert(REST - ARRAYS == 4 * sizeof(fov_array), "query, key, value and output lie side by side");
    int64_t arrays = differs(&a->query, &b->query) | differs(&a->key, &b->key) | differs(&a->value, &b->value) |
                     differs(&a->output, &b->output);
    return !arrays && memcmp(a, b, ARRAYS) == 0 && memcmp((const char *)a + REST, (const char *)b + REST, COMPARED - REST) == 0;
}

int fov_recall_plan(const fov_attention_args *args, const fov_isa *isa, fov_plan *plan)
{
    if (last.plan.isa != isa || uses_more(args) || !same_args(&last.args, args)) return 0;
    *plan = last.plan;
    plan->args = args;
    return 1;
}

/* Batch axes point to shapes and strides that may change behind the same address; larger calls depend on the limit of threads. */
void fov_remember_plan(const fov_plan *plan)
{
    if (!plan->is_serial || plan->args->n_batch_axes || uses_more(plan->args)) return;
    memcpy(&last.args, plan->args, COMPARED);
    last.plan = *plan;
}
