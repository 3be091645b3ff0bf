/* attend QUERY.npy CONTEXT.npy OUT.npy: every row of the query (Lq, dim) becomes a mean of the rows of the context (Lk, dim),
 * weighted by softmax(query context^T / sqrt(dim)). No Python in the process. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "foveate/foveate.h"
#include "npy.h"

static fov_array rows_of(const matrix *m)
{
    fov_array array = {m->data, NULL, 0, m->columns * (int64_t)sizeof(float), sizeof(float), FOV_F32};
    return array;
}

/* NULL: done. Otherwise what is wrong. */
static const char *attend(const matrix *query, const matrix *context, matrix *out)
{
    fov_attention_args args;
    memset(&args, 0, sizeof args); /* 0 is "absent" or "off" wherever that is possible */
    args.size = sizeof args;
    args.stages = FOV_STAGE_ALL;
    args.score = FOV_SCORE_SCALED_DOT;
    args.activation = FOV_ACTIVATION_SOFTMAX;
    args.combine = FOV_COMBINE_WEIGHTED_SUM;
    args.dtype = FOV_F32;
    args.n_q_heads = args.n_kv_heads = 1;
    args.q_len = query->rows;
    args.kv_len = args.kv_lengths.value = context->rows;
    args.head_dim = args.value_dim = query->columns;
    args.query = rows_of(query);
    args.key = args.value = rows_of(context);
    args.output = rows_of(out);
    args.scale = query->columns ? 1 / sqrt((double)query->columns) : 1;
    args.window_left = args.window_right = FOV_OPEN;

    size_t size;
    fov_status status = fov_workspace_size(&args, &size);
    if (status == FOV_OK) {
        void *workspace = malloc(size);
        if (!workspace) return "no memory for the workspace";
        status = fov_attention(&args, workspace, size);
        free(workspace);
    }
    return status == FOV_OK ? NULL : fov_last_problem();
}

static int fail(const char *who, const char *problem)
{
    fprintf(stderr, "attend: %s %s\n", who, problem);
    return 1;
}

int main(int argc, char **argv)
{
    if (argc != 4) return fail("usage:", "attend QUERY.npy CONTEXT.npy OUT.npy");
    matrix query = {0, 0, NULL}, context = {0, 0, NULL}, out = {0, 0, NULL};
    const char *who = argv[1], *problem = npy_read(argv[1], &query);
    if (!problem) problem = npy_read(who = argv[2], &context);
    if (!problem && query.columns != context.columns) problem = "must have as many columns as the query";
    if (!problem) {
        who = "out:";
        out.rows = query.rows;
        out.columns = query.columns;
        out.data = malloc((size_t)(out.rows * out.columns) * sizeof(float) + 1);
        problem = out.data ? attend(&query, &context, &out) : "no memory";
    }
    if (!problem) problem = npy_write(who = argv[3], &out);
    if (problem) fail(who, problem);
    free(query.data);
    free(context.data);
    free(out.data);
    return problem != NULL;
}
