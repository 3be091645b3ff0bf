/* The probes that are compiled once per ISA. */
#ifndef FOV_PROBE_TYPES_H
#define FOV_PROBE_TYPES_H

#include <stdint.h>

typedef struct fov_probes {
    int vector_bits;
    int n_chains;
    double (*fma_f32)(int64_t n_rounds, const float *start);
    double (*fma_f64)(int64_t n_rounds, const double *start);
    void (*read)(const void *data, int64_t n_bytes, int64_t n_passes);
} fov_probes;

/* `start` holds values of about 1, all different, because gcc merges chains that it can prove equal. */
enum { FOV_PROBE_CHAINS_MAX = 24, FOV_PROBE_STARTS = FOV_PROBE_CHAINS_MAX * 16 };

#endif
