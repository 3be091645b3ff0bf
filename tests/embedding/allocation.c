/* Every combination of stages, dtype and orientation, with malloc and its sisters counted: after a first round, which makes the
 * threads, none may happen. The program's own malloc takes the place of that of the C library in the shared library too. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "foveate/foveate.h"

static atomic_int counted;
static void count(void) { counted++; }

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *memory);

void *malloc(size_t size) { return count(), __libc_malloc(size); }
void *calloc(size_t n, size_t size) { return count(), __libc_calloc(n, size); }
void *realloc(void *old, size_t size) { return count(), __libc_realloc(old, size); }
void *aligned_alloc(size_t alignment, size_t size) { return count(), __libc_memalign(alignment, size); }
void *memalign(size_t alignment, size_t size) { return count(), __libc_memalign(alignment, size); }
void free(void *memory) { __libc_free(memory); }
int posix_memalign(void **memory, size_t alignment, size_t size)
{
    *memory = memalign(alignment, size);
    return *memory ? 0 : ENOMEM;
}

enum { HEADS = 2, KEYS = 700, DIM = 8, MOST_ROWS = 40, WORKSPACE = 1 << 24 };
static double query[HEADS * MOST_ROWS * DIM], key[HEADS * KEYS * DIM], value[HEADS * KEYS * DIM], matrix[DIM * DIM];
static double output[HEADS * MOST_ROWS * KEYS * DIM], lse[HEADS * MOST_ROWS], totals[HEADS * KEYS];
static char workspace[WORKSPACE];

static fov_array array(void *data, int64_t rows, int64_t columns, int dtype)
{
    int64_t bytes = dtype == FOV_F64 ? 8 : dtype == FOV_F32 ? 4 : 2;
    return (fov_array){data, NULL, rows * columns * bytes, columns * bytes, bytes, dtype};
}

static void call(int score, int activation, int combine, int dtype, int64_t rows)
{
    int real = dtype == FOV_F64 ? FOV_F64 : FOV_F32;
    fov_attention_args args;
    memset(&args, 0, sizeof args);
    args.size = sizeof args;
    args.stages = FOV_STAGE_ALL;
    args.score = score;
    args.activation = activation;
    args.combine = combine;
    args.dtype = dtype;
    args.n_threads = 2;
    args.n_q_heads = args.n_kv_heads = HEADS;
    args.q_len = rows;
    args.kv_len = args.kv_lengths.value = KEYS;
    args.head_dim = args.value_dim = DIM;
    args.query = array(query, rows, DIM, dtype);
    args.key = array(key, KEYS, DIM, dtype);
    args.value = array(value, KEYS, DIM, dtype);
    args.output = array(output, rows, DIM, dtype);
    if (combine == FOV_COMBINE_PRODUCT) {
        args.output_key_bytes = args.output.row_bytes;
        args.output.row_bytes *= KEYS;
        args.output.head_bytes *= KEYS;
    }
    if (fov_activation_has_lse(activation)) args.lse = array(lse, rows, 1, real);
    args.key_stats_kind = FOV_KEY_STATS_SUM;
    args.key_stats = array(totals, 1, KEYS, real);
    args.scale = 1;
    args.window_left = args.window_right = FOV_OPEN;
    if (score == FOV_SCORE_BILINEAR || score == FOV_SCORE_ADDITIVE) args.score_w_q = (fov_parameter){matrix, 0, DIM};
    args.entmax_alpha = 1.25;
    args.top_k = args.select_k = 3;
    args.select_temperature = 1;

    size_t size;
    fov_status status = fov_workspace_size(&args, &size);
    if (status == FOV_OK && size > WORKSPACE) exit(2);
    if (status == FOV_OK) status = fov_attention(&args, workspace, size);
    if (status != FOV_OK) {
        fprintf(stderr, "%s, %s, %s: %s\n", fov_score_name(score), fov_activation_name(activation), fov_combine_name(combine),
                fov_last_problem());
        exit(1);
    }
}

static int every_combination(void)
{
    int cases = 0;
    for (int score = 0; fov_score_name(score); score++)
        for (int activation = 0; fov_activation_name(activation); activation++)
            for (int combine = 0; fov_combine_name(combine); combine++)
                for (int dtype = FOV_F32; dtype <= FOV_BF16; dtype++)
                    for (int rows = 1; rows <= MOST_ROWS; rows += MOST_ROWS - 1, cases++)
                        call(score, activation, combine, dtype, rows);
    return cases;
}

int main(void)
{
    int before = counted;
    void *volatile one = malloc(1);
    free(one);
    if (counted != before + 1) return 3; /* the counter counts */
    every_combination();

    int start = counted, cases = every_combination();
    printf("%d %d\n", cases, counted - start);
    return 0;
}
