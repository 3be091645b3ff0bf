/* Every kernel, compiled for neon (flags: cmake/FoveateIsa.cmake). */
#define FOV_ISA_NAME neon
#define FOV_ISA_NEON 1
#include "kernels/isa_table.h"
