#include <stdint.h>

#include "attention/driver.h"
#include "attention/plan.h"
#include "dispatch/dispatch.h"
#include "foveate/foveate.h"

enum { ALIGNMENT = 64 };

static fov_status make_plan(const fov_attention_args *args, fov_plan *plan)
{
    fov_status status;
    const fov_isa *isa = fov_active_isa(&status);
    return isa ? fov_plan_make(args, isa, plan) : status;
}

fov_status fov_workspace_size(const fov_attention_args *args, size_t *size)
{
    fov_plan plan;
    fov_status status = make_plan(args, &plan);
    *size = 0;
    if (status != FOV_OK) return status;
    size_t threads = (size_t)plan.n_threads, room = SIZE_MAX - ALIGNMENT;
    if (plan.shared_bytes > room || plan.thread_bytes > (room - plan.shared_bytes) / threads) return FOV_ERROR_OVERFLOW;
    *size = plan.shared_bytes + threads * plan.thread_bytes + ALIGNMENT;
    return FOV_OK;
}

fov_status fov_attention(const fov_attention_args *args, void *workspace, size_t workspace_size)
{
    fov_plan plan;
    fov_status status = make_plan(args, &plan);
    if (status != FOV_OK) return status;
    if (plan.n_tasks == 0) {
        fov_run(&plan, NULL);
        return FOV_OK;
    }
    if (!workspace) return FOV_ERROR_WORKSPACE;
    char *start = (char *)(((uintptr_t)workspace + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1));
    size_t lost = (size_t)(start - (char *)workspace);
    if (workspace_size < lost || workspace_size - lost < plan.shared_bytes) return FOV_ERROR_WORKSPACE;
    /* the limit of threads may have risen since fov_workspace_size: take what the workspace has room for */
    size_t room = (workspace_size - lost - plan.shared_bytes) / (plan.thread_bytes ? plan.thread_bytes : 1);
    if (room < (size_t)plan.n_threads) plan.n_threads = (int)room;
    if (plan.n_threads < 1) return FOV_ERROR_WORKSPACE;
    fov_run(&plan, start);
    return FOV_OK;
}
