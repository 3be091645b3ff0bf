/* Score cosine: logit = q.k / (|q| |k|), 0 for a zero vector: the dot score of rows of length 1. reference.py: SCORES["cosine"]. */

FOV_INLINE void FOV_NAME(cosine_store)(real *out, const real *x, int64_t dim, vr factor)
{
    int64_t d = 0;
    for (; d + VR_LANES <= dim; d += VR_LANES) vr_store(out + d, vr_mul(vr_load(x + d), factor));
    if (d < dim) vr_store_n(out + d, vr_mul(vr_load_n(x + d, dim - d), factor), dim - d);
}

FOV_INLINE double FOV_NAME(cosine_squares)(const real *x, int64_t dim)
{
    vr squares = vr_zero();
    int64_t d = 0;
    for (; d + VR_LANES <= dim; d += VR_LANES) squares = vr_fma(vr_load(x + d), vr_load(x + d), squares);
    if (d < dim) squares = vr_fma(vr_load_n(x + d, dim - d), vr_load_n(x + d, dim - d), squares);
    return (double)vr_hsum(squares);
}

/* x times the power of two that brings its largest element to [1/2, 1), exactly. */
static void FOV_NAME(cosine_rescaled)(const real *x, int64_t dim, real *out)
{
    real largest = 0;
    for (int64_t d = 0; d < dim; d++) largest = x[d] > largest ? x[d] : -x[d] > largest ? -x[d] : largest;
    int exponent = 0;
    if (largest > 0 && largest <= (real)(FOV_REAL_BITS == 64 ? DBL_MAX : FLT_MAX)) (void)frexp((double)largest, &exponent);
    /* 2^-exponent may lie beyond the range of normal numbers, its two halves do not */
    FOV_NAME(cosine_store)(out, x, dim, vr_set1((real)ldexp(1, -exponent / 2)));
    FOV_NAME(cosine_store)(out, out, dim, vr_set1((real)ldexp(1, -exponent - -exponent / 2)));
}

static void FOV_NAME(score_cosine_encode)(const void *rows, int64_t ld, int64_t n_rows, int64_t dim, void *code, void *reach)
{
    const double low = FOV_REAL_BITS == 64 ? 1e-250 : 1e-24, high = FOV_REAL_BITS == 64 ? 1e300 : 1e36;
    (void)reach;
    for (int64_t r = 0; r < n_rows; r++) {
        const real *x = (const real *)rows + r * ld;
        real *out = (real *)code + r * dim;
        double squares = FOV_NAME(cosine_squares)(x, dim);
        if (!(squares > low &&
              squares < high)) { /* squares may have over- or underflowed: once more in the middle of the range */
            FOV_NAME(cosine_rescaled)(x, dim, out);
            x = out;
            squares = FOV_NAME(cosine_squares)(x, dim);
        }
        FOV_NAME(cosine_store)(out, x, dim, vr_set1(squares == 0 ? 0 : (real)(1 / sqrt(squares))));
    }
}

#define FOV_SCORE_ENTRY_cosine                                                                                                   \
    {.lanes = FOV_NAME(score_dot_lanes),                                                                                         \
     .rows = FOV_NAME(score_dot_rows),                                                                                           \
     .encode = FOV_NAME(score_cosine_encode),                                                                                    \
     .code_replaces = 1}
