/* Split-KV: chunks of keys are tasks of their own; the last one of a unit to finish merges all of them in the order of the keys. */
#ifndef FOV_SPLIT_H
#define FOV_SPLIT_H

#include "attention/task.h"

void fov_split_reset(const fov_plan *plan, char *shared);

/* Leaves the task's state for the merge. 1: this was the last chunk of the unit, and the task now holds the merged state. */
int fov_split_join(fov_task *task, char *shared, int64_t unit, int64_t chunk);

#endif
