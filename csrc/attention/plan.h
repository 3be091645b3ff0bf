/* How one call is cut into tasks and blocks. Whatever touches the order of a sum (tiles, chunks, orientation) follows from shapes,
 * dtype and the ISA alone, never from the number of threads, of batch elements or of heads. */
#ifndef FOV_PLAN_H
#define FOV_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include "foveate/foveate.h"
#include "kernels/kernel_types.h"

enum { FOV_MAX_BLOCKS = 4 }; /* query blocks of a task that share each block of keys and values */

typedef struct fov_plan {
    const fov_attention_args *args;
    const fov_isa *isa;
    const fov_kernels *kernels;
    const fov_activation *activation;
    const fov_accumulate *accumulate; /* of the orientation */
    fov_block_fn score; /* of the orientation */
    const fov_moves *moves; /* of the storage type */

    int early_scale; /* the scale is 0, negative or near the ends of the range: multiplied in before anything folds it in */
    int capped; /* softcap is on; beyond the root of the range nothing is capped and neither x / cap nor cap tanh kept its digits */
    double multiplier; /* of the block when it reaches the activation */

    int few_rows; /* orientation: 1 rows (vectors along head_dim), 0 lanes */
    int max_lanes; /* lanes of a full query block */
    int key_lanes; /* lanes of one row; 1 in the orientation lanes (see kernel_types.h) */
    int max_rows; /* rows of a full query block */
    int max_blocks; /* query blocks per task */
    int tile_keys; /* keys per tile; the grid of tiles starts at key 0 */
    int64_t group_size; /* query heads per kv head */
    int64_t slice_rows; /* query rows of one (batch element, kv head): group_size * q_len, position major */
    int64_t task_rows; /* rows per task */
    int64_t chunk_keys; /* keys per task; a multiple of tile_keys */
    int64_t n_slices, n_row_tasks, n_chunks, n_tasks;

    size_t query_bytes, accumulator_bytes, state_bytes; /* of one query block; a state is three arrays of lanes */
    size_t tile_bytes, bias_bytes, key_bytes, value_bytes;
    size_t thread_bytes; /* scratch of one thread */
    size_t partial_bytes; /* what a chunk leaves for the merge, per task */
    size_t shared_bytes; /* tickets and partials */
    int n_threads;
} fov_plan;

/* Checks the arguments and fills the plan; the workspace takes shared_bytes + n_threads * thread_bytes + 64. */
fov_status fov_plan_make(const fov_attention_args *args, const fov_isa *isa, fov_plan *plan);

#endif
