/* Vectors of keys or values as they are stored, for kernels that convert while they read: the same numbers, bit by bit, as row_in
 * and quantized_in make of them.
 *
 * FOV_F8_FOLDED is e4m3 in a block all of whose scales are normal also times 2^8: conversions that go by way of f16 leave that factor to
 * the scale. Where FOV_STAGES_F8 is defined its bytes become f16 in a stage first, a line at a time, and are read again from there:
 * an f16 in memory is converted by one operation, in a register by two. */

#ifndef FOV_F8_FOLDED
#define FOV_F8_FOLDED 100
#endif

FOV_INLINE int FOV_NAME(stored_bytes)(const int dtype)
{
    return dtype == FOV_INT8 || dtype == FOV_F8_E4M3 || dtype == FOV_F8_FOLDED ? 1 : FOV_NAME(bytes_of)(dtype);
}

FOV_INLINE int FOV_NAME(has_scales)(const int dtype)
{
    return dtype == FOV_INT8 || dtype == FOV_F8_E4M3 || dtype == FOV_F8_FOLDED;
}

/* Vectors that are converted together: those of a line of 64 bytes, as far as there are registers. */
FOV_INLINE int FOV_NAME(line_vectors)(const int dtype)
{
    const int n = 64 / (VR_LANES * FOV_NAME(stored_bytes)(dtype));
    return n < 1 ? 1 : n < FOV_LINE_VECTORS ? n : FOV_LINE_VECTORS;
}

#undef FOV_STAGE
#undef FOV_STAGED
#undef FOV_IN_STAGE
#if FOV_REAL_BITS == 32 && defined(FOV_STAGES_F8)
#define FOV_STAGE(stage, n_lines) uint16_t stage[n_lines][64] __attribute__((aligned(64)))
#define FOV_STAGED(stage, line, at, n_vectors, dtype) vf32_stage(stage[line], at, n_vectors, dtype)
FOV_INLINE const char *vf32_stage(uint16_t *stage, const char *at, const int n_vectors, const int dtype)
{
    if (dtype != FOV_F8_FOLDED || n_vectors < 2) return at;
    vf32_stage_f8(stage, at, n_vectors);
    return (const char *)stage;
}
#define FOV_IN_STAGE(stage, line, at, n_vectors, dtype)                                                                          \
    ((dtype) == FOV_F8_FOLDED && (n_vectors) > 1 ? (const char *)stage[line] : (at))
#else
#define FOV_STAGE(stage, n_lines)
#define FOV_IN_STAGE(stage, line, at, n_vectors, dtype) (at)
#define FOV_STAGED(stage, line, at, n_vectors, dtype) (at)
#endif

#if FOV_REAL_BITS == 32
#undef FOV_STORED_REAL
#undef FOV_IF_STORED
#define FOV_STORED_REAL FOV_F32
#define FOV_IF_STORED(kernel) FOV_NAME(kernel)
/* Vector i of n_vectors, from where FOV_STAGED says. */
FOV_INLINE vf32 vf32_load_staged(const char *from, int i, float scale, const int n_vectors, const int dtype)
{
    const char *p = from + i * VF32_LANES * FOV_NAME(stored_bytes)(dtype);
    (void)n_vectors;
#if defined(FOV_STAGES_F8)
    if (dtype == FOV_F8_FOLDED)
        return vf32_mul(n_vectors < 2 ? vf32_load_f8_halves(p) : vf32_load_stage(from, i), vf32_set1(scale));
#endif
    if (!FOV_NAME(has_scales)(dtype)) return vf32_load_as(p, dtype);
    return vf32_mul(vf32_load_quantized(p, dtype), vf32_set1(scale));
}
#else
#undef FOV_STORED_REAL
#undef FOV_IF_STORED
#define FOV_STORED_REAL FOV_F64
#define FOV_IF_STORED(kernel) NULL /* conversions into f64 go through scratch */
FOV_INLINE vf64 vf64_load_staged(const char *from, int i, float scale, const int n_vectors, const int dtype)
{
    (void)scale, (void)n_vectors;
    return vf64_load_as(from + i * VF64_LANES * FOV_NAME(stored_bytes)(dtype), dtype);
}
#endif

/* The scale of row `key`, with the factor that the type leaves to it; 1 where there are none. */
FOV_INLINE float FOV_NAME(scale_of)(const fov_stored *stored, int64_t key, const int dtype)
{
    float scale = 1;
    if (stored->scales) memcpy(&scale, stored->scales + key * stored->scale_bytes, sizeof scale); /* may be misaligned */
    return dtype == FOV_F8_FOLDED ? scale * 256 : scale;
}

/* 1: the size of every scale is 0 or between 2^-112 and 2^112. */
FOV_INLINE int FOV_NAME(scales_fold)(const fov_stored *stored, int n_keys)
{
    uint32_t beyond = 0;
    for (int k = 0; stored->scales && k < n_keys; k++) {
        uint32_t bits;
        memcpy(&bits, stored->scales + k * stored->scale_bytes, sizeof bits);
        bits &= 0x7fffffffu;
        beyond |= (bits != 0) & (bits - (15u << 23) >= 224u << 23);
    }
    return !beyond;
}

/* kernel(block, stored, the type as a constant) */
#ifndef FOV_OF_STORED
#if defined(FOV_STAGES_F8)
#define FOV_OF_FOLDED(kernel, block, stored)                                                                                     \
    if (FOV_NAME(scales_fold)(stored, (block)->n_keys)) {                                                                        \
        kernel(block, stored, FOV_F8_FOLDED);                                                                                    \
        break;                                                                                                                   \
    }
#else
#define FOV_OF_FOLDED(kernel, block, stored)
#endif
#define FOV_OF_STORED(kernel, block, stored)                                                                                     \
    switch ((stored)->dtype) {                                                                                                   \
    case FOV_F16: kernel(block, stored, FOV_F16); break;                                                                         \
    case FOV_BF16: kernel(block, stored, FOV_BF16); break;                                                                       \
    case FOV_INT8: kernel(block, stored, FOV_INT8); break;                                                                       \
    default: FOV_OF_FOLDED(kernel, block, stored) kernel(block, stored, FOV_F8_E4M3);                                            \
    }
#endif
