/* The probes, compiled for neon (flags: cmake/FoveateIsa.cmake). */
#define FOV_ISA_NAME neon
#define FOV_ISA_NEON 1
#include "limits/probe_instances.h"
