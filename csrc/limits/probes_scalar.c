/* The probes, compiled for scalar (flags: cmake/FoveateIsa.cmake). */
#define FOV_ISA_NAME scalar
#define FOV_ISA_SCALAR 1
#include "limits/probe_instances.h"
