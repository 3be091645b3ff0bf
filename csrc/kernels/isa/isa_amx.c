/* The kernels of avx512, and tile products over bf16 (flags: cmake/FoveateIsa.cmake). */
#define FOV_ISA_NAME amx
#define FOV_ISA_AVX512 1
#include "kernels/tile/tile_table.h"
