#include "repeated.h"

#include <string.h>

#include "check.h"
#include "foveate/foveate.h"

enum { ROWS = 3, COLUMNS = 2, SETS = 3, AT = 1 }; /* AT: bytes from an aligned address */

static char inputs[SETS][3][ROWS * COLUMNS * 4 + AT], outputs[SETS][ROWS * COLUMNS * 4 + AT], workspace[1 << 16];

static fov_attention_args make(int set)
{
    fov_attention_args a = {.size = sizeof a,
                            .stages = FOV_STAGE_ALL,
                            .score = FOV_SCORE_SCALED_DOT,
                            .activation = FOV_ACTIVATION_SOFTMAX,
                            .combine = FOV_COMBINE_WEIGHTED_SUM,
                            .dtype = FOV_F32,
                            .n_q_heads = 1,
                            .n_kv_heads = 1,
                            .q_len = ROWS,
                            .kv_len = ROWS,
                            .head_dim = COLUMNS,
                            .value_dim = COLUMNS,
                            .scale = 1,
                            .window_left = FOV_OPEN,
                            .window_right = FOV_OPEN};
    fov_array *arrays[] = {&a.query, &a.key, &a.value, &a.output};
    int odd = set == SETS - 1 ? AT : 0;
    a.kv_lengths.value = ROWS;
    for (int i = 0; i < 4; i++) {
        char *data = i < 3 ? inputs[set][i] : outputs[set];
        *arrays[i] = (fov_array){data + odd, NULL, ROWS * COLUMNS * 4, COLUMNS * 4, 4, FOV_F32};
        for (int k = 0; i < 3 && k < ROWS * COLUMNS; k++) {
            float x = (float)((set + 2) * (i + 3) * (k + 1) % 7) / 4;
            memcpy(data + odd + 4 * k, &x, 4);
        }
    }
    return a;
}

static void run(const fov_attention_args *a)
{
    check(fov_attention(a, workspace, sizeof workspace) == FOV_OK, "%s", fov_last_problem());
}

static void test_other_arrays(void)
{
    char expected[SETS][ROWS * COLUMNS * 4];
    check_begin("other arrays of the same form");
    for (int set = 0; set < SETS; set++) {
        fov_attention_args a = make(set);
        a.q_len = 1;
        run(&a); /* whatever is remembered is another problem */
        a.q_len = ROWS;
        run(&a);
        memcpy(expected[set], a.output.data, sizeof expected[set]);
        memset(a.output.data, 0, sizeof expected[set]);
        check(set == 0 || memcmp(expected[set], expected[set - 1], sizeof expected[set]) != 0, "the inputs are all the same");
    }
    for (int set = 0; set < SETS; set++) {
        fov_attention_args a = make(set);
        run(&a);
        check(memcmp(expected[set], a.output.data, sizeof expected[set]) == 0, "set %d has the result of another call", set);
    }
}

static void test_array_that_is_gone(void)
{
    fov_attention_args a = make(0);
    fov_array *arrays[] = {&a.query, &a.key, &a.value, &a.output};
    for (int i = 0; i < 4; i++) {
        void *data = arrays[i]->data;
        check_begin("array %d of a repeated call is NULL", i);
        run(&a);
        arrays[i]->data = NULL;
        check(fov_attention(&a, workspace, sizeof workspace) == FOV_ERROR_ARGUMENT, "it is accepted");
        arrays[i]->data = data;
        run(&a);
    }
}

/* Each row of the output is a mean of the values: with other strides, of other values. */
static void test_other_strides(void)
{
    fov_attention_args a = make(0);
    float first[COLUMNS], row[COLUMNS];
    check_begin("other strides in a repeated call");
    memcpy(first, inputs[0][2], sizeof first);
    run(&a);
    a.value.row_bytes = 0;
    run(&a);
    memcpy(row, outputs[0], sizeof row);
    for (int c = 0; c < COLUMNS; c++) check_close(row[c], first[c], 1e-6L, "output", 0, c);
}

void test_repeated(void)
{
    test_other_arrays();
    test_array_that_is_gone();
    test_other_strides();
}
