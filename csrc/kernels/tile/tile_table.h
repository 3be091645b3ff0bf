/* The table of an ISA with tile registers: the kernels of avx512, which is compiled on its own, and fov_tiles. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/kernel_types.h"
#include "simd/half.h"
#include "simd/tile_amx.h"
#include "simd/vec.h"

#define FOV_REAL_BITS 32
#include "simd/vec_real.h"

#include "kernels/tile/tile_check.h"
#include "kernels/tile/tile_careful.h"
#include "kernels/tile/tile_pack.h"
#include "kernels/tile/tile_split.h"

#include "kernels/tile/tile_rows.h"
#include "kernels/tile/tile_products.h"
#undef FOV_REAL_BITS

extern const fov_kernels fov_kernels_f32_avx512, fov_kernels_f64_avx512;

static void enter_tiles(void) { tile_configure(); }
static void leave_tiles(void) { tile_release(); }

static const fov_tiles tiles = {
    .check = FOV_NAME(tile_check),
    .enter = enter_tiles,
    .leave = leave_tiles,
    .pack_query = FOV_NAME(tile_pack_query),
    .pack_values = FOV_NAME(tile_pack_values),
    .split_query = FOV_NAME(tile_split_query),
    .split_keys = FOV_NAME(tile_split_keys),
    .split_values = FOV_NAME(tile_split_values),
    .score = FOV_NAME(tile_score),
    .score_not_finite = FOV_NAME(tile_score_not_finite),
    .add_not_finite = FOV_NAME(tile_add_not_finite),
    .weighted_sum = FOV_NAME(tile_weighted_sum),
    .pack_query_rows = FOV_NAME(tile_pack_query_rows),
    .rows_finite = FOV_NAME(tile_rows_finite),
    .score_rows = FOV_NAME(tile_score_rows),
    .add_not_finite_rows = FOV_NAME(tile_add_not_finite_rows),
    .weighted_sum_rows = FOV_NAME(tile_weighted_sum_rows),
};

static uint64_t enter(void) { return vec_enter(); }
static void leave(uint64_t saved) { vec_leave(saved); }

const fov_isa fov_isa_amx = {
    .name = "amx",
    .f32 = &fov_kernels_f32_avx512,
    .f64 = &fov_kernels_f64_avx512,
    .enter = enter,
    .leave = leave,
    .tiles = &tiles,
};
