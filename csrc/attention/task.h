/* The working state of one task: one slice (batch element, kv head), up to FOV_MAX_BLOCKS query blocks, one chunk of keys. */
#ifndef FOV_TASK_H
#define FOV_TASK_H

#include "attention/plan.h"

/* A query block: up to max_rows rows, position major (row = position * group_size + head in group). */
typedef struct fov_query_block {
    fov_block block;
    fov_lists lists;
    int64_t row, position, head; /* the first; the query that it is, and its head in the group */
    /* keys first <= j < last may be attended by a row: causal, window, length */
    int64_t first[FOV_MAX_LANES], last[FOV_MAX_LANES];
    int64_t first_key, last_key;                       /* the union over the rows */
    int64_t covered_first, covered_last;               /* the intersection; empty where they cross */
    int has_not_finite; /* queries that were split into planes have zeros for NaN or Inf */
    double norms[FOV_MAX_LANES]; /* of the queries, where far tiles are skipped */
} fov_query_block;

typedef struct fov_task {
    const fov_plan *plan;
    /* the slice: where (batch element, first query head of the group) or (batch element, kv head) begins in each array */
    const char *query, *key, *value, *mask, *bias, *k_scale, *v_scale;
    char *output, *lse, *weights, *logits, *key_stats;
    int64_t slice, q_head, kv_length, q_offset;
    int64_t chunk_first, chunk_last; /* keys of this task */

    fov_query_block blocks[FOV_MAX_BLOCKS];
    int n_blocks;

    /* scratch */
    void *tile, *key_rows, *value_rows;
    char *key_tiles, *value_tiles; /* for products of tiles */
    void *rows, *projected, *coded, *reach; /* queries or keys on their way to the score: encode.c */
    void *ones;
    double modifier_row[FOV_MAX_TILE_KEYS]; /* the logits of one row, for a caller's modifier */
    double *list_row; /* one list in double, and room for as much */
    double *totals; /* key_stats of this task: [group_size][kv_len] */
    uint32_t attend[FOV_MAX_TILE_KEYS / 32 * FOV_MAX_LANES]; /* word [step / 32][lane], bit step % 32 */

    /* of a mask that other slices have too: shared_mask.c */
    uint8_t *mask_states; /* NULL: nothing is kept */
    char *mask_bits;
    int64_t mask_block; /* where the slice's query blocks begin */

    /* the block of keys at hand */
    int64_t keys_at, n_keys_at; /* -1: none */
    int key_ready, key_tiles_ready, value_ready, value_tiles_ready;
    int key_finite, value_finite; /* key_finite: of keys in planes; value_finite: -1 not known yet */
    int value_halvings;                       /* values are multiplied by 2^-value_halvings on their way to the sum */
    uint32_t *key_norms; /* floats, 0: not known yet; NULL: not kept */
    uint8_t *finite; /* what is known of the values of each tile of the slice; NULL: not kept */
    const char *key_block, *value_block, *key_tile_rows, *value_tile_rows;
    int64_t key_ld, value_ld, key_tile_bytes, value_tile_bytes; /* from row to row */

    int64_t tiles_computed, tiles_dead;
} fov_task;

enum { FOV_DEAD, FOV_PARTIAL, FOV_FULL };

/* tiles.c */
void fov_need_key_tiles(fov_task *task); /* key_tile_rows: FOV_TILE_KEYS - 1 rows more than there are keys */
int fov_need_value_tiles(fov_task *task); /* 0: some value is NaN or Inf */
fov_stored fov_tile_values(const fov_task *task, int64_t key); /* of tile_rows: finite rows of them, from `key` on */
void fov_use_tiles(const fov_task *task); /* before products of tiles, after functions of the caller */

/* slice.c */
void fov_task_slice(fov_task *task, int64_t slice);
void fov_row_pointers(const fov_task *task, const fov_query_block *q, const char *base, const fov_array *array,
                      const char **rows);
void fov_gather_tile(const fov_task *task, const fov_query_block *q, const char *base, const fov_array *array, int64_t key,
                     void *tile);
void fov_gather_add_tile(const fov_task *task, const fov_query_block *q, const char *base, const fov_array *array, int64_t key);
void fov_scatter_tile(const fov_task *task, const fov_query_block *q, char *base, const fov_array *array, int64_t key);

/* rows.c */
void fov_key_block(fov_task *task, int64_t key, int64_t n);
void fov_need_key(fov_task *task);
void fov_need_value(fov_task *task);
int fov_keys_per_piece(const fov_task *task); /* 0: need all of the block at once */
void fov_read_keys(const fov_task *task, int64_t key, int n, void *reals);
const char *fov_values(const fov_task *task, int64_t *ld); /* all values as reals; NULL: they have to be read one by one */
fov_stored fov_stored_keys(const fov_task *task, int64_t key); /* from `key` on, as they are stored */
fov_stored fov_stored_values(const fov_task *task, int64_t key);
void fov_read_value(const fov_task *task, int64_t key, void *reals);

/* encode.c */
void fov_read_query(fov_task *task, fov_query_block *q);
void fov_encode_keys(fov_task *task);
void fov_point_at_keys(const fov_task *task, fov_query_block *q, int64_t key);

/* masking.c */
void fov_set_ranges(const fov_task *task, fov_query_block *q);
int fov_attends(const fov_task *task, const fov_query_block *q, int row, int key); /* the bit of a key of the tile */
int fov_trim(const fov_task *task, fov_query_block *q, int64_t key); /* what each vector of rows needs of the keys of the block */
int fov_attend_words(fov_task *task, const fov_query_block *q, int64_t key); /* of the keys of the block */

/* shared_mask.c */
void fov_shared_mask_slice(fov_task *task, char *shared);
int fov_kept_mask(const fov_task *task, const fov_query_block *q, int64_t key,
                  uint32_t *words); /* FOV_PARTIAL: words; -1: not kept */
void fov_keep_mask(const fov_task *task, const fov_query_block *q, int64_t key, const uint32_t *words, int extent);
int fov_ask_for_kept_mask(const fov_task *task, const fov_query_block *q, int64_t key); /* 0: not kept */

/* logits.c: fills the tile with the logits of keys [key, key + n); FOV_DEAD: nothing was computed */
int fov_compute_logits(fov_task *task, fov_query_block *q, int64_t key, int n_keys);

/* far.c */
int fov_goes_backwards(const fov_task *task); /* from the last key to the first */
int fov_is_far(fov_task *task, fov_query_block *q, int64_t first, int64_t last); /* every weight for keys [first, last) is 0 */

/* lists.c */
void fov_start_lists(fov_task *task, fov_query_block *q);
void fov_collect(fov_task *task, fov_query_block *q, int64_t key);
void fov_finish_lists(fov_task *task, fov_query_block *q);

/* key_stats.c: one set of totals per task, added up in the order of the tasks by the one that ends last */
void fov_totals_reset(const fov_plan *plan, char *stats);
void fov_totals_start(fov_task *task, char *stats, int64_t row_task);
void fov_totals_finish(fov_task *task, char *stats);
void fov_totals_of_no_query(const fov_plan *plan);

/* output.c */
int fov_write_output(fov_task *task, fov_query_block *q); /* 0: a sum was NaN or left the range of the compute type */
void fov_replace_overflowed(fov_task *task, fov_query_block *q);
void fov_zero_row(const fov_plan *plan, char *at, int64_t n, int64_t step);
void fov_scale_row(const fov_task *task, int64_t key, const void *weight, char *output_row);

/* ahead.c: `part` of FOV_MAX_BLOCKS of the tile from key `next_key` on; of the output where that is negative */
void fov_ask_ahead(fov_task *task, fov_query_block *q, int part, int64_t next_key);

/* second_pass.c */
void fov_run_second_pass(fov_task *task, fov_query_block *q);

#endif
