#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/last_plan.h"
#include "attention/driver.h"
#include "attention/plan.h"
#include "attention/problem.h"
#include "dispatch/dispatch.h"
#include "foveate/foveate.h"

enum { ALIGNMENT = 64, MOST_SIZE = 1 << 16 /* of a later header; a garbage size must not be read to its end */ };

/* The first layout that was frozen ended with parallel_for_host. Later fields are appended, and 0 means that they are not used. */
static const size_t FIRST_SIZE = offsetof(fov_attention_args, parallel_for_host) + sizeof(void *);

/* Arguments of an older or a newer header as those of this library: missing fields are 0, unknown ones must be. */
static fov_status read_args(const fov_attention_args *args, fov_attention_args *room, const fov_attention_args **read)
{
    if (!args) return fov_problem(FOV_ERROR_ARGUMENT, "args must not be NULL");
    size_t known = sizeof *args;
    *read = args;
    if (args->size == known) return FOV_OK;
    if (args->size < FIRST_SIZE)
        return fov_problem(FOV_ERROR_ARGUMENT, "args->size must be sizeof(fov_attention_args), at least %zu, got %zu", FIRST_SIZE,
                           args->size);
    if (args->size > MOST_SIZE)
        return fov_problem(FOV_ERROR_ARGUMENT, "args->size must be sizeof(fov_attention_args), got %zu", args->size);
    for (size_t i = known; i < args->size; i++)
        if (((const unsigned char *)args)[i] != 0)
            return fov_problem(FOV_ERROR_ARGUMENT,
                               "args use a field that this foveate (%s, %zu bytes) does not know, got %zu bytes", fov_version(),
                               known, args->size);
    memset(room, 0, sizeof *room);
    memcpy(room, args, args->size < known ? args->size : known);
    room->size = known;
    *read = room;
    return FOV_OK;
}

static fov_status make_plan(const fov_attention_args *args, fov_attention_args *room, fov_plan *plan)
{
    fov_status status = read_args(args, room, &args);
    if (status != FOV_OK) return status;
    for (;;) {
        const fov_isa *isa = fov_active_isa(&status);
        if (!isa) return fov_problem(status, "%s", fov_status_string(status));
        if (fov_recall_plan(args, isa, plan)) return FOV_OK;
        int f32_by_tiles = fov_f32_by_tiles(&status);
        if (status != FOV_OK) return fov_problem(status, "FOVEATE_F32 must be fma or amx, got %s", getenv("FOVEATE_F32"));
        status = fov_plan_make(args, isa, f32_by_tiles, plan);
        if (status != FOV_OK || !plan->tiles || fov_tiles_ready(isa)) break; /* else once more, with the next ISA */
    }
    if (status == FOV_OK) fov_remember_plan(plan);
    return status;
}

static fov_status refuse_workspace(size_t needed, size_t came)
{
    return fov_problem(FOV_ERROR_WORKSPACE, "workspace must have the %zu bytes of fov_workspace_size, got %zu", needed, came);
}

fov_status fov_workspace_size(const fov_attention_args *args, size_t *size)
{
    fov_plan plan;
    fov_attention_args room;
    if (!size) return fov_problem(FOV_ERROR_ARGUMENT, "size must not be NULL");
    *size = 0;
    fov_status status = make_plan(args, &room, &plan);
    if (status != FOV_OK) return status;
    size_t threads = (size_t)plan.n_threads, most = SIZE_MAX - ALIGNMENT;
    if (plan.shared_bytes > most || plan.thread_bytes > (most - plan.shared_bytes) / threads)
        return fov_problem(FOV_ERROR_OVERFLOW, "the workspace would need more than %zu bytes", most);
    *size = plan.shared_bytes + threads * plan.thread_bytes + ALIGNMENT;
    return FOV_OK;
}

fov_status fov_attention(const fov_attention_args *args, void *workspace, size_t workspace_size)
{
    fov_plan plan;
    fov_attention_args room;
    fov_status status = make_plan(args, &room, &plan);
    if (status != FOV_OK) return status;
    if (plan.n_tasks == 0) return fov_run(&plan, NULL);
    size_t least = plan.shared_bytes + plan.thread_bytes + ALIGNMENT;
    if (!workspace) return fov_problem(FOV_ERROR_WORKSPACE, "workspace must not be NULL");
    char *start = (char *)(((uintptr_t)workspace + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1));
    size_t lost = (size_t)(start - (char *)workspace);
    if (workspace_size < lost || workspace_size - lost < plan.shared_bytes) return refuse_workspace(least, workspace_size);
    /* the limit of threads may have risen since fov_workspace_size: take what the workspace has room for */
    size_t areas = (workspace_size - lost - plan.shared_bytes) / (plan.thread_bytes ? plan.thread_bytes : 1);
    if (areas < (size_t)plan.n_threads) plan.n_threads = (int)areas;
    if (plan.n_threads < 1) return refuse_workspace(least, workspace_size);
    return fov_run(&plan, start);
}
