/* How one call is cut into tasks and blocks. Whatever touches the order of a sum (tiles, chunks, orientation) follows from shapes,
 * dtype and the ISA alone, never from the number of threads, of batch elements or of heads. */
#ifndef FOV_PLAN_H
#define FOV_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include "foveate/foveate.h"
#include "kernels/kernel_types.h"

enum { FOV_MAX_BLOCKS = 4 }; /* query blocks of a task that share each block of keys and values */

/* How the rows of keys, or of values, lie. */
typedef struct fov_row_layout {
    int are_reals; /* contiguous reals, where the first row is aligned: a kernel can read them in place */
    int fights_cache; /* rows a multiple of 4 KiB apart share few cache sets */
    int64_t ld; /* reals from row to row */
} fov_row_layout;

/* What is kept of a mask that several slices share: shared_mask.c. */
typedef struct fov_shared_mask {
    int of_head, of_batch; /* each of them has a mask of its own */
    int64_t n_blocks; /* query blocks of a mask */
    int64_t n_tiles; /* kept, of all masks together; 0: nothing is shared */
    int64_t tile_bytes;
    size_t state_bytes, bytes;
} fov_shared_mask;

typedef struct fov_plan {
    const fov_attention_args *args;
    const fov_isa *isa;
    const fov_kernels *kernels;
    const fov_activation *activation;
    const fov_accumulate *accumulate; /* of the orientation */
    const fov_score *score;
    fov_block_fn score_tile; /* of the orientation */
    const fov_moves *moves; /* of the storage type */
    fov_quantized_in quantized_in; /* of keys and values with scales; NULL: they have the storage type */
    int stored_type; /* of keys and values, fov_dtype */
    fov_row_layout keys, values;
    int reads_stored_keys, reads_stored_values; /* kernels convert while they read, where nothing has to look at reals */
    const fov_tiles *tiles; /* of products of bf16 numbers; NULL: none in this call */
    int tile_scores, tile_sums; /* which stages take them */
    int tile_rows; /* both do, in the orientation rows, which reads values where they lie */
    int n_planes; /* of bf16 numbers that stand for each number */
    int splits; /* queries, keys and values are reals that are split into planes, and not bf16 */
    int tile_keys_in_place; /* rows of keys lie as the tile registers load them */
    int64_t tile_dim; /* columns of key_tiles: key_dim and zeros */
    int64_t value_tile_step; /* bytes of FOV_TILE_DEPTH keys in value_tiles */
    int (*activation_tile)(fov_block *block); /* the activation's tile, or tile_rounded */

    int early_scale; /* the scale is 0, negative or near the ends of the range: multiplied in before anything folds it in */
    int capped; /* softcap is on; beyond the root of the range nothing is capped and neither x / cap nor cap tanh kept its digits */
    double multiplier; /* of the block when it reaches the activation */

    int64_t key_dim, score_dim; /* columns of a key row; of what the score sees, after projections */
    int sums; /* the combine adds weights * values up, tile by tile */
    int lists; /* the logits that may get a weight are collected per row, and treated at the end: lists.c */
    int select, product; /* the combine is that one */
    int first_pass; /* over all keys, for row states, sums or lists */
    int second_pass; /* over all keys, with the final weights of a dense activation: second_pass.c */

    int skips_far; /* ALiBi leaves nothing of tiles that are far away: far.c */
    double nothing; /* the exponential of what is below is 0 */

    int few_rows; /* orientation: 1 rows (vectors along head_dim), 0 lanes */
    int max_lanes; /* lanes of a full query block */
    int trims; /* the rows of a vector are neighbours, and a diagonal may cut tiles: fov_trim() */
    int key_lanes; /* lanes of one row; 1 in the orientation lanes (see kernel_types.h) */
    int max_rows; /* rows of a full query block */
    int max_blocks; /* query blocks that share a block of keys */
    int tile_keys; /* keys per tile; the grid of tiles starts at key 0 */
    int64_t group_size; /* query heads of a slice: those of a kv head, or 1 where the heads have parameters of their own */
    int64_t slice_heads, kv_group_size; /* slices per batch element; query heads per kv head */
    int64_t slice_rows; /* query rows of one (batch element, kv head): group_size * q_len, position major */
    int64_t task_blocks, longer_tasks; /* query blocks per row task; the first longer_tasks have one more */
    int64_t span_rows; /* rows that share each block of keys: max_blocks * max_rows */
    int64_t keep; /* lists: prune to so many of the largest logits, 0: only by their distance from the largest */
    int64_t list_stride; /* elements of a row of the lists */
    int64_t chunk_keys; /* keys per task; a multiple of tile_keys */
    int64_t n_slices, n_row_tasks, n_chunks, n_tasks;

    size_t query_bytes, accumulator_bytes, state_bytes; /* of one query block; a state is three arrays of lanes */
    size_t tile_bytes, key_bytes, value_bytes;
    size_t query_tile_bytes, key_tile_bytes, value_tile_bytes, weight_tile_bytes; /* of tile products */
    size_t code_bytes; /* a second query area of a block, for a score that reads rows and codes */
    size_t rows_bytes, projected_bytes, coded_bytes, reach_bytes; /* rows on their way to the score, of queries or of keys */
    size_t list_bytes, list_key_bytes,
        list_row_bytes; /* limits, values and keys of all rows; the keys alone; one row in double */
    size_t totals_bytes; /* key_stats of one task */
    size_t thread_bytes; /* scratch of one thread */
    size_t partial_bytes; /* what a chunk leaves for the merge, per task */
    size_t ones_bytes; /* the v of an additive score without one */
    size_t split_bytes, stats_bytes; /* tickets and partials; tickets and totals */
    size_t norm_bytes; /* a float per tile of each slice's keys, where several tasks pass over them */
    size_t finite_bytes; /* one per tile of each slice's values, where several tasks pass over them */
    int64_t n_tiles; /* of a slice */
    fov_shared_mask shared_mask;
    size_t shared_bytes; /* all five */
    int is_serial; /* too small for a second thread, however many there are */
    int n_threads;
} fov_plan;

/* shared_mask.c */
void fov_plan_shared_mask(fov_plan *plan); /* after all sizes but its own */

/* check.c */
int64_t fov_score_dim(const fov_attention_args *args); /* columns of what the score sees */
int64_t fov_product(int64_t a, int64_t b); /* a * b, or -1 when a factor is -1 or the product leaves 62 bits */
fov_status fov_check(const fov_attention_args *args);
fov_status fov_check_strides(const fov_attention_args *args); /* of arguments that passed the rest of fov_check */

/* Checks the arguments and fills the plan; the workspace takes shared_bytes + n_threads * thread_bytes + 64. */
/* f32_by_tiles: f32 of the highest precision takes tile products too, where the ISA has them. */
fov_status fov_plan_make(const fov_attention_args *args, const fov_isa *isa, int f32_by_tiles, fov_plan *plan);

#endif
