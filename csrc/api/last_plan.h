/* The last small plan of each thread. Making a plan is a pure function of arguments and ISA, and takes a quarter of a call on 3 x 2
 * arrays; who repeats a small call, with the same arrays or others of the same form, gets it back for a comparison. */
#ifndef FOV_LAST_PLAN_H
#define FOV_LAST_PLAN_H

#include "attention/plan.h"

int fov_recall_plan(const fov_attention_args *args, const fov_isa *isa, fov_plan *plan); /* 1: *plan is that of the arguments */
void fov_remember_plan(const fov_plan *plan);

#endif
