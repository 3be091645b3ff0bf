/* The driver: one loop over (batch element, kv head, query blocks) x (key blocks), free of ISA and dtype. */
#ifndef FOV_DRIVER_H
#define FOV_DRIVER_H

#include "attention/plan.h"

/* workspace: plan->shared_bytes + plan->n_threads * plan->thread_bytes, 64-byte aligned. */
fov_status fov_run(const fov_plan *plan, char *workspace);

#endif
