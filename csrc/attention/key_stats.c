/* key_stats: totals of the weights per key, over the queries. A task adds up those of its rows in their order; the task of a slice
 * that ends last adds up the tasks in theirs, so that the bits do not depend on the threads. */
#include <math.h>
#include <string.h>

#include "attention/task.h"

static double *totals_of(const fov_plan *p, char *stats, int64_t slice, int64_t row_task)
{
    char *first = stats + p->stats_bytes - (size_t)(p->n_slices * p->n_row_tasks) * p->totals_bytes;
    return (double *)(first + (size_t)(slice * p->n_row_tasks + row_task) * p->totals_bytes);
}

void fov_totals_reset(const fov_plan *p, char *stats) { memset(stats, 0, sizeof(uint32_t) * (size_t)p->n_slices); }

void fov_totals_start(fov_task *t, char *stats, int64_t row_task)
{
    const fov_plan *p = t->plan;
    int64_t n = p->group_size * p->args->kv_len;
    t->totals = totals_of(p, stats, t->slice, row_task);
    /* a second pass sees every weight, masked zeros too; lists hold the positive ones */
    double first = p->args->key_stats_kind == FOV_KEY_STATS_MAX && p->second_pass ? -(double)INFINITY : 0;
    for (int64_t i = 0; i < n; i++) t->totals[i] = first;
}

/* totals: [group_size][kv_len], NULL for zeros */
static void write_totals(const fov_task *t, const double *totals)
{
    const fov_plan *p = t->plan;
    const fov_array *array = &p->args->key_stats;
    for (int64_t head = 0; head < p->group_size; head++)
        for (int64_t key = 0; key < p->args->kv_len; key++) {
            double wide = totals ? totals[head * p->args->kv_len + key] : 0;
            float narrow = (float)wide;
            char *at = t->key_stats + head * array->head_bytes + key * array->column_bytes;
            if (array->dtype == FOV_F64) memcpy(at, &wide, sizeof wide);
            else memcpy(at, &narrow, sizeof narrow);
        }
}

static void join(const fov_plan *p, double *into, const double *from)
{
    int is_max = p->args->key_stats_kind == FOV_KEY_STATS_MAX;
    for (int64_t i = 0; i < p->group_size * p->args->kv_len; i++)
        if (!is_max) into[i] += from[i];
        else if (from[i] > into[i] || from[i] != from[i]) into[i] = from[i];
}

void fov_totals_finish(fov_task *t, char *stats)
{
    const fov_plan *p = t->plan;
    uint32_t *ticket = (uint32_t *)stats + t->slice;
    if (__atomic_add_fetch(ticket, 1, __ATOMIC_ACQ_REL) != (uint32_t)p->n_row_tasks) return;
    double *first = totals_of(p, stats, t->slice, 0);
    for (int64_t task = 1; task < p->n_row_tasks; task++) join(p, first, totals_of(p, stats, t->slice, task));
    write_totals(t, first);
}

void fov_totals_of_no_query(const fov_plan *p)
{
    fov_task t = {.plan = p};
    if (p->args->kv_len == 0) return;
    for (int64_t slice = 0; slice < p->n_slices; slice++) {
        fov_task_slice(&t, slice);
        write_totals(&t, NULL);
    }
}
