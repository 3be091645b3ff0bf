/* Names and texts: what is registered, what a status means, what this build is. */
#include <stddef.h>

#include "foveate/foveate.h"
#include "kernels/kernel_types.h"

static const char *const scores[] = {
#define FOV_SCORE(name, kernel) #name,
#include "kernels/kernels.def"
};
static const char *const activations[] = {
#define FOV_ACTIVATION(name, kernel) #name,
#include "kernels/kernels.def"
};
static const char *const combines[] = {
#define FOV_COMBINE(name, kernel) #name,
#include "kernels/kernels.def"
};

const char *fov_score_name(int index) { return index >= 0 && index < FOV_N_SCORES ? scores[index] : NULL; }
const char *fov_activation_name(int index) { return index >= 0 && index < FOV_N_ACTIVATIONS ? activations[index] : NULL; }
const char *fov_combine_name(int index) { return index >= 0 && index < FOV_N_COMBINES ? combines[index] : NULL; }

int fov_activation_has_lse(int index)
{
    return index >= 0 && index < FOV_N_ACTIVATIONS && fov_isa_scalar.f32->activation[index].has_lse;
}

const char *fov_status_string(fov_status status)
{
    switch (status) {
    case FOV_OK: return "ok";
    case FOV_ERROR_ARGUMENT: return "an argument is out of range";
    case FOV_ERROR_OVERFLOW: return "a product of sizes does not fit into 63 bits";
    case FOV_ERROR_WORKSPACE: return "the workspace is missing or too small";
    case FOV_ERROR_ISA_UNKNOWN: return "this build has no such ISA";
    case FOV_ERROR_ISA_UNAVAILABLE: return "this machine cannot run that ISA";
    case FOV_ERROR_UNSUPPORTED: return "this mode does not offer what was asked for";
    case FOV_CANCELLED: return "cancelled by the caller";
    }
    return "unknown status";
}

const char *fov_version(void) { return FOVEATE_VERSION; }

#if defined(__clang__)
const char *fov_compiler(void) { return "clang " __clang_version__; }
#elif defined(__GNUC__)
const char *fov_compiler(void) { return "gcc " __VERSION__; }
#else
const char *fov_compiler(void) { return "unknown"; }
#endif
