/* The probes, compiled for avx2 (flags: cmake/FoveateIsa.cmake). */
#define FOV_ISA_NAME avx2
#define FOV_ISA_AVX2 1
#include "limits/probe_instances.h"
