/* A vector of keys or values as they are stored, for kernels that convert while they read: the same numbers, bit by bit, as row_in
 * and quantized_in make of them. */

FOV_INLINE int FOV_NAME(stored_bytes)(const int dtype)
{
    return dtype == FOV_INT8 || dtype == FOV_F8_E4M3 ? 1 : FOV_NAME(bytes_of)(dtype);
}

FOV_INLINE int FOV_NAME(has_scales)(const int dtype) { return dtype == FOV_INT8 || dtype == FOV_F8_E4M3; }

#if FOV_REAL_BITS == 32
#undef FOV_STORED_REAL
#undef FOV_IF_STORED
#define FOV_STORED_REAL FOV_F32
#define FOV_IF_STORED(kernel) FOV_NAME(kernel)
FOV_INLINE vf32 vf32_load_stored(const char *p, float scale, const int dtype)
{
    if (!FOV_NAME(has_scales)(dtype)) return vf32_load_as(p, dtype);
    return vf32_mul(vf32_load_quantized(p, dtype), vf32_set1(scale));
}
#else
#undef FOV_STORED_REAL
#undef FOV_IF_STORED
#define FOV_STORED_REAL FOV_F64
#define FOV_IF_STORED(kernel) NULL /* conversions into f64 go through scratch */
FOV_INLINE vf64 vf64_load_stored(const char *p, float scale, const int dtype)
{
    (void)scale;
    return vf64_load_as(p, dtype);
}
#endif

/* kernel(block, stored, the type as a constant) */
#ifndef FOV_OF_STORED
#define FOV_OF_STORED(kernel, block, stored)                                                                                     \
    switch ((stored)->dtype) {                                                                                                   \
    case FOV_F16: kernel(block, stored, FOV_F16); break;                                                                         \
    case FOV_BF16: kernel(block, stored, FOV_BF16); break;                                                                       \
    case FOV_INT8: kernel(block, stored, FOV_INT8); break;                                                                       \
    default: kernel(block, stored, FOV_F8_E4M3);                                                                                 \
    }
#endif

/* The scale of row `key`; 1 where there are none. */
FOV_INLINE float FOV_NAME(scale_of)(const fov_stored *stored, int64_t key)
{
    float scale = 1;
    if (stored->scales) memcpy(&scale, stored->scales + key * stored->scale_bytes, sizeof scale); /* may be misaligned */
    return scale;
}
