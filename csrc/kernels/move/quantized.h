/* Rows of int8 or float8 elements, times the scale of the row, as reals: one body for both, the type is a constant argument. */

FOV_INLINE real FOV_NAME(quantized_one)(const char *p, const int dtype)
{
    if (dtype == FOV_INT8) return (real) * (const int8_t *)p;
    return (real)fov_f8_to_f32(*(const uint8_t *)p);
}

#if FOV_REAL_BITS == 32
FOV_INLINE vf32 vf32_load_quantized(const char *p, const int dtype)
{
    return dtype == FOV_INT8 ? vf32_load_int8(p) : vf32_load_f8(p);
}
#endif

FOV_INLINE void FOV_NAME(quantized_in)(const char *source, int64_t step, int64_t n, float scale, real *reals, const int dtype)
{
    int64_t i = 0;
#if FOV_REAL_BITS == 32
    const vf32 factor = vf32_set1(scale);
    if (step == 1)
        for (; i + VR_LANES <= n; i += VR_LANES) vr_store(reals + i, vr_mul(vf32_load_quantized(source + i, dtype), factor));
#endif
    for (; i < n; i++) reals[i] = FOV_NAME(quantized_one)(source + i * step, dtype) * (real)scale;
}

#define FOV_QUANTIZED(name, DTYPE)                                                                                               \
    static void FOV_NAME(quantized_in_as_##name)(const char *source, int64_t step, int64_t n, float scale, void *reals)          \
    {                                                                                                                            \
        FOV_NAME(quantized_in)(source, step, n, scale, reals, DTYPE);                                                            \
    }
#include "kernels/kernels.def"
