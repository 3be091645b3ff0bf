/* The working state of one task: one slice (batch element, kv head), up to FOV_MAX_BLOCKS query blocks, one chunk of keys. */
#ifndef FOV_TASK_H
#define FOV_TASK_H

#include "attention/plan.h"

/* A query block: up to max_rows rows, position major (row = position * group_size + head in group). */
typedef struct fov_query_block {
    fov_block block;
    int64_t row; /* the first */
    /* keys first <= j < last may be attended by a row: causal, window, length */
    int64_t first[FOV_MAX_LANES], last[FOV_MAX_LANES];
    int64_t first_key, last_key;                       /* the union over the rows */
} fov_query_block;

typedef struct fov_task {
    const fov_plan *plan;
    /* the slice: where (batch element, first query head of the group) or (batch element, kv head) begins in each array */
    const char *query, *key, *value, *mask, *bias;
    char *output, *lse, *weights, *logits;
    int64_t q_head, kv_length, q_offset;
    int64_t chunk_first, chunk_last; /* keys of this task */

    fov_query_block blocks[FOV_MAX_BLOCKS];
    int n_blocks;

    /* scratch */
    void *tile, *bias_tile, *key_rows, *value_rows;
    uint32_t attend[FOV_MAX_TILE_KEYS / 32 * FOV_MAX_LANES]; /* word [step / 32][lane], bit step % 32 */

    /* the block of keys at hand */
    int64_t keys_at, n_keys_at; /* -1: none */
    int key_ready, value_ready, value_finite; /* value_finite: -1 not known yet */
    const char *key_block, *value_block;
    int64_t key_ld, value_ld;

    int64_t tiles_computed, tiles_dead;
} fov_task;

enum { FOV_DEAD, FOV_PARTIAL, FOV_FULL };

/* slice.c */
void fov_task_slice(fov_task *task, int64_t slice);
void fov_row_pointers(const fov_task *task, const fov_query_block *q, const char *base, const fov_array *array,
                      const char **rows);
void fov_gather_tile(const fov_task *task, const fov_query_block *q, const char *base, const fov_array *array, int64_t key,
                     void *tile);
void fov_scatter_tile(const fov_task *task, const fov_query_block *q, char *base, const fov_array *array, int64_t key);
void fov_key_block(fov_task *task, int64_t key, int64_t n);
void fov_need_key(fov_task *task);
void fov_need_value(fov_task *task);

/* masking.c */
void fov_set_ranges(const fov_task *task, fov_query_block *q);
int fov_attend_words(fov_task *task, const fov_query_block *q, int64_t key); /* of the keys of the block */

/* logits.c: fills the tile with the logits of keys [key, key + n); FOV_DEAD: nothing was computed */
int fov_compute_logits(fov_task *task, fov_query_block *q, int64_t key, int n_keys);

/* output.c */
void fov_write_output(fov_task *task, fov_query_block *q);
void fov_write_matrix(fov_task *task, fov_query_block *q);

#endif
