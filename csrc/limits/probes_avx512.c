/* The probes, compiled for avx512 (flags: cmake/FoveateIsa.cmake). */
#define FOV_ISA_NAME avx512
#define FOV_ISA_AVX512 1
#include "limits/probe_instances.h"
