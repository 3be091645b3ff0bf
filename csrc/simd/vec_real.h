/* The vector contract for one real type, under names without the type: vr_add is vf32_add or vf64_add.
 * Included once per real type, with FOV_REAL_BITS 32 or 64; kernel sources speak only of real, vr_* and FOV_NAME. */
#undef real
#undef vr
#undef vm
#undef VR_LANES
#undef FOV_VR
#undef FOV_REAL_SUFFIX
#undef real_bits
#undef REAL_BITS_MAX
#if FOV_REAL_BITS == 64
#define real double
#define real_bits int64_t /* an integer of its size */
#define REAL_BITS_MAX INT64_MAX
#define vr vf64
#define vm mf64
#define VR_LANES VF64_LANES
#define FOV_VR(op) vf64_##op
#define FOV_REAL_SUFFIX f64
#else
#define real float
#define real_bits int32_t
#define REAL_BITS_MAX INT32_MAX
#define vr vf32
#define vm mf32
#define VR_LANES VF32_LANES
#define FOV_VR(op) vf32_##op
#define FOV_REAL_SUFFIX f32
#endif

#ifndef FOV_NAME
#define FOV_PASTE_(a, b, c) fov_##a##_##b##_##c
#define FOV_PASTE(a, b, c) FOV_PASTE_(a, b, c)
#define FOV_NAME(stem) FOV_PASTE(stem, FOV_REAL_SUFFIX, FOV_ISA_NAME) /* fov_<stage>_<operation>_<dtype>_<isa> */
#define vr_zero FOV_VR(zero)
#define vr_set1 FOV_VR(set1)
#define vr_load FOV_VR(load)
#define vr_store FOV_VR(store)
#define vr_load_n FOV_VR(load_n)
#define vr_store_n FOV_VR(store_n)
#define vr_add FOV_VR(add)
#define vr_sub FOV_VR(sub)
#define vr_mul FOV_VR(mul)
#define vr_div FOV_VR(div)
#define vr_reciprocal FOV_VR(reciprocal)
#define vr_small_reciprocal FOV_VR(small_reciprocal)
#define vr_fma FOV_VR(fma)
#define vr_add_product FOV_VR(add_product)
#define vr_mul_error FOV_VR(mul_error)
#define vr_max FOV_VR(max)
#define vr_min FOV_VR(min)
#define vr_fract FOV_VR(fract)
#define vr_scale2 FOV_VR(scale2)
#define vr_nearest FOV_VR(nearest)
#define vr_gt FOV_VR(gt)
#define vr_eq FOV_VR(eq)
#define vr_above FOV_VR(above)
#define vr_select FOV_VR(select)
#define vr_m_or FOV_VR(m_or)
#define vr_any FOV_VR(any)
#define vr_m_bits FOV_VR(m_bits)
#define vr_bits FOV_VR(bits)
#define vr_swap FOV_VR(swap)
#define vr_hsum FOV_VR(hsum)
#define vr_sums FOV_VR(sums)
#define vr_transpose FOV_VR(transpose)
#endif
