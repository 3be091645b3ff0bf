/* The CPU quota of the control groups (v1 and v2) that this process is in. */
#ifndef FOV_CGROUP_H
#define FOV_CGROUP_H

/* Whole CPUs that the tightest quota on the way to the root allows, at least 1; 0 when there is no quota.
 * The arguments are "/proc/self/cgroup" and "/proc/self/mountinfo", or stand-ins for them in tests. */
int fov_cgroup_cpus(const char *cgroup_file, const char *mountinfo_file);

#endif
