/* The table of one ISA. An isa/isa_<name>.c defines FOV_ISA_NAME and its vec.h switch, then includes this. */
#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "foveate/foveate.h"
#include "kernels/kernel_types.h"
#include "simd/half.h"
#include "simd/vec.h"

#define FOV_REAL_BITS 32
#include "simd/vec_real.h"

#include "simd/vec_math.h"
#undef FOV_REAL_BITS
#define FOV_REAL_BITS 64
#include "simd/vec_real.h"

#include "simd/vec_math.h"

#include "kernels/list/solve.h"
#undef FOV_REAL_BITS

#define FOV_REAL_BITS 32
#include "kernels/real_kernels.h"
#define FOV_REAL_BITS 64
#include "kernels/real_kernels.h"

#define FOV_STRING_(x) #x
#define FOV_STRING(x) FOV_STRING_(x)
#define FOV_JOIN_(a, b) a##b
#define FOV_JOIN(a, b) FOV_JOIN_(a, b)

static uint64_t enter(void) { return vec_enter(); }
static void leave(uint64_t saved) { vec_leave(saved); }

const fov_isa FOV_JOIN(fov_isa_, FOV_ISA_NAME) = {
    .name = FOV_STRING(FOV_ISA_NAME),
    .f32 = &FOV_JOIN(fov_kernels_f32_, FOV_ISA_NAME),
    .f64 = &FOV_JOIN(fov_kernels_f64_, FOV_ISA_NAME),
    .enter = enter,
    .leave = leave,
};
