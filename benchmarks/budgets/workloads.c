/* One call of the library under callgrind: `workloads ISA NAME` prepares the named call, makes it once to warm up, and once more inside
 * measured(), to which the counting is limited. Same input in every run: the counts repeat to the instruction. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "foveate/foveate.h"

typedef struct {
    const char *name;
    const char *score, *activation, *combine;
    int dtype, validate_only, causal;
    int64_t n_q_heads, n_kv_heads, q_len, kv_len, dim;
} workload;

static const workload workloads[] = {
    {"validate", "scaled_dot", "softmax", "weighted_sum", FOV_F32, 1, 0, 1, 1, 3, 3, 2},
    {"tiny_call", "scaled_dot", "softmax", "weighted_sum", FOV_F32, 0, 0, 1, 1, 3, 3, 2},
    {"prefill", "scaled_dot", "softmax", "weighted_sum", FOV_F32, 0, 0, 1, 1, 144, 144, 64},
    {"prefill_causal", "scaled_dot", "softmax", "weighted_sum", FOV_F32, 0, 1, 1, 1, 144, 144, 64},
    {"prefill_f64", "scaled_dot", "softmax", "weighted_sum", FOV_F64, 0, 0, 1, 1, 72, 72, 64},
    {"prefill_bf16", "scaled_dot", "softmax", "weighted_sum", FOV_BF16, 0, 0, 1, 1, 144, 144, 64},
    {"decode", "scaled_dot", "softmax", "weighted_sum", FOV_F32, 0, 0, 4, 1, 1, 512, 64},
    {"sigmoid", "scaled_dot", "sigmoid", "weighted_sum", FOV_F32, 0, 0, 1, 1, 144, 144, 64},
    {"additive", "additive", "softmax", "weighted_sum", FOV_F32, 0, 0, 1, 1, 96, 96, 64},
    {"cosine", "cosine", "softmax", "weighted_sum", FOV_F32, 0, 0, 1, 1, 96, 96, 64},
    {"entmax15", "scaled_dot", "entmax15", "weighted_sum", FOV_F32, 0, 0, 1, 1, 96, 256, 64},
};

static int find(const char *(*name_of)(int), const char *name)
{
    for (int i = 0; name_of(i); i++)
        if (strcmp(name_of(i), name) == 0) return i;
    fprintf(stderr, "workloads: no stage %s\n", name);
    exit(2);
}

/* Numbers in [-1, 1) that look normal enough for every path. */
static void fill(void *data, int64_t n, int dtype, uint64_t state)
{
    for (int64_t i = 0; i < n; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        double x = (double)(state >> 40) * 0x1p-23 - 1;
        float narrow = (float)x;
        uint32_t bits;
        memcpy(&bits, &narrow, 4);
        if (dtype == FOV_F64) ((double *)data)[i] = x;
        else if (dtype == FOV_F32) ((float *)data)[i] = narrow;
        else ((uint16_t *)data)[i] = (uint16_t)(bits >> 16);
    }
}

static fov_array array(int64_t heads, int64_t rows, int64_t dim, int dtype, uint64_t seed)
{
    int64_t size = dtype == FOV_F64 ? 8 : dtype == FOV_F32 ? 4 : 2;
    fov_array a = {aligned_alloc(64, (size_t)(heads * rows * dim * size + 63) & ~(size_t)63),
                   NULL,
                   rows * dim * size,
                   dim * size,
                   size,
                   dtype};
    fill(a.data, heads * rows * dim, dtype, seed);
    return a;
}

static fov_status status;
static size_t size;

__attribute__((noinline)) void measured(const fov_attention_args *args, void *workspace, int validate_only)
{
    status = fov_workspace_size(args, &size);
    if (status == FOV_OK && !validate_only) status = fov_attention(args, workspace, size);
}

int main(int argc, char **argv)
{
    const workload *w = NULL;
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++) {
        if (argc == 2 && strcmp(argv[1], "--list") == 0) puts(workloads[i].name);
        if (argc == 3 && strcmp(argv[2], workloads[i].name) == 0) w = &workloads[i];
    }
    if (argc == 2 && strcmp(argv[1], "--list") == 0) return 0;
    if (!w || fov_set_isa(argv[1]) != FOV_OK) {
        fprintf(stderr, "usage: workloads ISA NAME, or workloads --list\n");
        return 2;
    }
    fov_attention_args args = {.size = sizeof args,
                               .stages = FOV_STAGE_ALL,
                               .dtype = w->dtype,
                               .n_threads = 1,
                               .scale = 0.125,
                               .n_q_heads = w->n_q_heads,
                               .n_kv_heads = w->n_kv_heads,
                               .q_len = w->q_len,
                               .kv_len = w->kv_len,
                               .head_dim = w->dim,
                               .value_dim = w->dim,
                               .window_left = FOV_OPEN,
                               .window_right = w->causal ? 0 : FOV_OPEN};
    args.score = find(fov_score_name, w->score);
    args.activation = find(fov_activation_name, w->activation);
    args.combine = find(fov_combine_name, w->combine);
    args.kv_lengths.value = w->kv_len;
    args.query = array(w->n_q_heads, w->q_len, w->dim, w->dtype, 1);
    args.key = array(w->n_kv_heads, w->kv_len, w->dim, w->dtype, 2);
    args.value = array(w->n_kv_heads, w->kv_len, w->dim, w->dtype, 3);
    args.output = array(w->n_q_heads, w->q_len, w->dim, w->dtype, 4);
    if ((status = fov_workspace_size(&args, &size)) == FOV_OK) {
        void *workspace = aligned_alloc(64, (size + 63) & ~(size_t)63);
        status = fov_attention(&args, workspace, size);
        if (status == FOV_OK) measured(&args, workspace, w->validate_only);
    }
    if (status != FOV_OK) fprintf(stderr, "workloads: status %d\n", (int)status);
    return status != FOV_OK;
}
