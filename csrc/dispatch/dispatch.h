/* Which ISA runs: FOVEATE_ISA, fov_set_isa, or the best one that this machine has. */
#ifndef FOV_DISPATCH_H
#define FOV_DISPATCH_H

#include "foveate/foveate.h"
#include "kernels/kernel_types.h"

/* The table in use; *status tells why when it is NULL. */
const fov_isa *fov_active_isa(fov_status *status);

/* 1: this process may use the tile registers of that ISA, and they compute what they should. Found out by the first who asks; where not,
 * the ISA is no longer the active one. */
int fov_tiles_ready(const fov_isa *isa);

/* FOVEATE_F32: 1 for "amx", 0 for "fma" or nothing; *status tells that it is something else. */
int fov_f32_by_tiles(fov_status *status);

/* The table of a compiled ISA by index (best first); NULL beyond the last. Does not ask whether the CPU can run it. */
const fov_isa *fov_compiled_isa(int index);

#endif
