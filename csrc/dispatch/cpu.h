/* What this CPU and operating system can run. */
#ifndef FOV_CPU_H
#define FOV_CPU_H

int fov_cpu_runs(const char *isa);      /* 1 when the bundle of features behind that ISA name is there */
const char *fov_cpu_feature_list(void); /* space-separated, for people */
int fov_cpu_permits_amx(void);          /* asks Linux for the tile registers, for the whole process and for good; 1: granted */
int fov_cpu_has_amx(void);              /* the AMX bits of the CPU; says nothing about permission */

#endif
