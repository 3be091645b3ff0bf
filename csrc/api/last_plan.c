#include "api/last_plan.h"

#include <string.h>

/* Compared byte by byte: padding that differs is a plan made anew, no more. isa is NULL until the first plan. */
static _Thread_local struct {
    fov_attention_args args;
    fov_plan plan;
} last;

int fov_recall_plan(const fov_attention_args *args, const fov_isa *isa, fov_plan *plan)
{
    if (last.plan.isa != isa || memcmp(&last.args, args, sizeof *args) != 0) return 0;
    *plan = last.plan;
    plan->args = args;
    return 1;
}

/* Batch axes point to shapes and strides that may change behind the same address; larger calls depend on the limit of threads. */
void fov_remember_plan(const fov_plan *plan)
{
    if (!plan->is_serial || plan->args->n_batch_axes) return;
    last.args = *plan->args;
    last.plan = *plan;
}
