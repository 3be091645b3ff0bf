/* Every kernel of one real type: set FOV_REAL_BITS, include; the last definition is its table. */
#include "simd/vec_real.h"

#include "kernels/move/moves.h"
#include "kernels/move/quantized.h"
#include "kernels/move/stored.h"

#include "kernels/activation/tile_max.h"

#include "kernels/activation/activation_elementwise.h"
#include "kernels/activation/activation_relu.h"
#include "kernels/activation/activation_sigmoid.h"
#include "kernels/activation/activation_softmax.h"
#include "kernels/activation/activation_sparse.h"
#include "kernels/activation/activation_tanh.h"
#include "kernels/combine/combine_weighted_sum.h"
#include "kernels/list/lists.h"
#include "kernels/modify/modify.h"
#include "kernels/modify/norms.h"
#include "kernels/score/score_additive.h"
#include "kernels/score/score_cosine.h"
#include "kernels/score/score_dot.h"
#include "kernels/score/score_dot_rows.h"

#define FOV_MOVE_(operation, name) operation##_as_##name
#define FOV_MOVE__(operation, name) FOV_MOVE_(operation, name)
#define FOV_MOVE(operation) FOV_MOVE__(operation, FOV_MOVE_NAME)
#define FOV_MOVE_NAME f32
#define FOV_MOVE_DTYPE FOV_F32
#include "kernels/move/move_instances.h"
#define FOV_MOVE_NAME f64
#define FOV_MOVE_DTYPE FOV_F64
#include "kernels/move/move_instances.h"
#define FOV_MOVE_NAME f16
#define FOV_MOVE_DTYPE FOV_F16
#include "kernels/move/move_instances.h"
#define FOV_MOVE_NAME bf16
#define FOV_MOVE_DTYPE FOV_BF16
#include "kernels/move/move_instances.h"
#undef FOV_MOVE

/* clang-format off: one line per stage */
const fov_kernels FOV_NAME(kernels) = {
    /* an ISA with tile registers uses these tables too */
    .real_bytes = sizeof(real),
    .least = FOV_REAL_BITS == 64 ? DBL_MIN : FLT_MIN,
    .largest = FOV_REAL_BITS == 64 ? DBL_MAX : FLT_MAX,
    .vector_lanes = VR_LANES,
    .max_vectors = 3,
    .score =
        {
#define FOV_SCORE(name, kernel) [FOV_SCORE_INDEX_##name] = FOV_SCORE_ENTRY_##kernel,
#include "kernels/kernels.def"
        },
    .modify = {.scale = FOV_NAME(modify_scale),
               .softcap = FOV_NAME(modify_softcap),
               .alibi = FOV_NAME(modify_alibi),
               .mask = FOV_NAME(modify_mask),
               .any_masked = FOV_NAME(modify_any_masked),
               .totals = FOV_NAME(modify_totals),
               .differ = FOV_NAME(modify_differ),
               .query_norms = FOV_NAME(modify_query_norms),
               .largest_norm = FOV_NAME(modify_largest_norm),
               .reference = FOV_NAME(modify_reference)},
    .lists = {.raise = FOV_NAME(lists_raise),
              .collect = FOV_NAME(lists_collect),
              .keep = FOV_NAME(lists_keep),
              .set_limit = FOV_NAME(lists_set_limit),
              .weighted_sum = FOV_NAME(lists_weighted_sum),
              .scaled = FOV_NAME(lists_scaled)},
    .activation =
        {
#define FOV_ACTIVATION(name, kernel) [FOV_ACTIVATION_INDEX_##name] = FOV_ACTIVATION_ENTRY_##kernel,
#include "kernels/kernels.def"
        },
    .combine =
        {
#define FOV_COMBINE(name, kernel) [FOV_COMBINE_INDEX_##name] = FOV_COMBINE_ENTRY_##kernel,
#include "kernels/kernels.def"
        },
    .moves =
        {
#define FOV_DTYPE(name, DTYPE, in)                                                                                               \
    [DTYPE] = {.row_in = FOV_NAME(row_in_as_##name),                                                                             \
               .rows_in = FOV_NAME(rows_in_as_##name),                                                                           \
               .row_out = FOV_NAME(row_out_as_##name),                                                                           \
               .gather = FOV_NAME(gather_as_##name),                                                                             \
               .gather_add = FOV_NAME(gather_add_as_##name),                                                                     \
               .scatter = FOV_NAME(scatter_as_##name)},
#include "kernels/kernels.def"
        },
    .quantized_in =
        {
#define FOV_QUANTIZED(name, DTYPE) [FOV_QUANTIZED_INDEX_##name] = FOV_NAME(quantized_in_as_##name),
#include "kernels/kernels.def"
        },
    .pack_bits = FOV_NAME(pack_bits),
    .all_finite = FOV_NAME(all_finite),
};
/* clang-format on */
#undef FOV_REAL_BITS
