/* Functions of vectors, written once on the contract of vec.h, included once per real type (see vec_real.h).
 * Coefficients: tools/polynomials.py. Errors: docs/numerics.md, tests/capi. */

/* 2^y, with one = 1. Relative error under 2 u for finite results (u = 2^-24, 2^-53; measured 1.4 to 1.8 u in f32, 1.4 to 1.8 in f64, by ISA). 2^0 is exactly 1; -inf and anything
 * below the normal range give exactly 0 (flush to zero on), beyond the largest inf, NaN stays NaN. */
FOV_INLINE vr FOV_NAME(exp2_plus)(vr y, vr one)
{
    vr f = vr_fract(y);
#if FOV_REAL_BITS == 64
    vr p = vr_set1(6.1230929168263871e-10);
    p = vr_fma(p, f, vr_set1(6.634445866251414e-9));
    p = vr_fma(p, f, vr_set1(1.0236023803275179e-7));
    p = vr_fma(p, f, vr_set1(1.3210583477765188e-6));
    p = vr_fma(p, f, vr_set1(1.5252998899728418e-5));
    p = vr_fma(p, f, vr_set1(1.5403521219107733e-4));
    p = vr_fma(p, f, vr_set1(1.3333558343937279e-3));
    p = vr_fma(p, f, vr_set1(9.6181291051517565e-3));
    p = vr_fma(p, f, vr_set1(0.055504108664980669));
    p = vr_fma(p, f, vr_set1(0.24022650695909673));
    p = vr_fma(p, f, vr_set1(0.69314718055994533));
#else
    vr p = vr_set1(2.0817915e-4f);
    p = vr_fma(p, f, vr_set1(1.26921661e-3f));
    p = vr_fma(p, f, vr_set1(9.65219506e-3f));
    p = vr_fma(p, f, vr_set1(0.0554960236f));
    p = vr_fma(p, f, vr_set1(0.240227204f));
    p = vr_fma(p, f, vr_set1(0.693147171f));
#endif
    p = vr_fma(p, f, one);
    return vr_scale2(p, y);
}
FOV_INLINE vr FOV_NAME(exp2)(vr y) { return FOV_NAME(exp2_plus)(y, vr_set1((real)1)); }

#if FOV_REAL_BITS == 32 && defined(VF32_TOP_HALF)
/* 2^y as a bf16 number, to nearest: half a step of p in [1, 2), 2^-8, comes with the constant term, and the low half is cut off. */
FOV_INLINE vr FOV_NAME(exp2_bf16)(vr y) { return VF32_TOP_HALF(FOV_NAME(exp2_plus)(y, vr_set1(1.00390625f))); }
#endif

/* tanh x = e / (e + 2) with e = e^(2x) - 1 = 2^n f q(f) + (2^n - 1), y = 2 x log2(e) = n + f, |f| <= 1/2: no cancellation near 0,
 * where n = 0. |x| is limited to 9.1 (f32) and 19.1 (f64), where tanh rounds to 1. Error at most 4 ulp; NaN stays NaN. */
FOV_INLINE vr FOV_NAME(tanh)(vr x)
{
#if FOV_REAL_BITS == 64
    vr limit = vr_set1(19.1);
#else
    vr limit = vr_set1(9.1f);
#endif
    x = vr_min(limit, vr_max(vr_sub(vr_zero(), limit), x));
    vr y = vr_mul(x, vr_set1((real)2.8853900817779268));
    vr n = vr_nearest(y);
    vr f = vr_sub(y, n);
#if FOV_REAL_BITS == 64
    vr q = vr_set1(2.5729324177362304e-11);
    q = vr_fma(q, f, vr_set1(4.4558179083360645e-10));
    q = vr_fma(q, f, vr_set1(7.0548973041554993e-9));
    q = vr_fma(q, f, vr_set1(1.0178057087733941e-7));
    q = vr_fma(q, f, vr_set1(1.3215486808705563e-6));
    q = vr_fma(q, f, vr_set1(1.5252733841556773e-5));
    q = vr_fma(q, f, vr_set1(1.5403530393370733e-4));
    q = vr_fma(q, f, vr_set1(1.3333558146406471e-3));
    q = vr_fma(q, f, vr_set1(9.6181291076284795e-3));
    q = vr_fma(q, f, vr_set1(0.055504108664821627));
    q = vr_fma(q, f, vr_set1(0.24022650695910071));
    q = vr_fma(q, f, vr_set1(0.69314718055994531));
#else
    vr q = vr_set1(1.54531629e-4f);
    q = vr_fma(q, f, vr_set1(1.33908634e-3f));
    q = vr_fma(q, f, vr_set1(9.61808256e-3f));
    q = vr_fma(q, f, vr_set1(0.0555035711f));
    q = vr_fma(q, f, vr_set1(0.240226508f));
    q = vr_fma(q, f, vr_set1(0.693147188f));
#endif
    vr power = vr_scale2(vr_set1((real)1), n);
    vr e = vr_fma(vr_mul(power, f), q, vr_sub(power, vr_set1((real)1)));
    return vr_div(e, vr_add(e, vr_set1((real)2)));
}
