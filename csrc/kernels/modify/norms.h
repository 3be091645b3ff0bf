/* Lengths of queries and keys, never too small: squares that flush count as the smallest number; not finite: infinity. far.c says for what. */

FOV_INLINE float FOV_NAME(norm_of)(double squares, int64_t dim)
{
    const double least = FOV_REAL_BITS == 64 ? DBL_MIN : FLT_MIN,
                 norm = sqrt(squares * (1 + 1e-4) + (double)(dim + 1) * least) * (1 + 1e-6);
    if (!(norm <= FLT_MAX)) return INFINITY;
    return norm < FLT_MIN ? FLT_MIN : (float)norm;
}

/* Of rows ld apart, the largest. */
static float FOV_NAME(modify_largest_norm)(const void *rows, int64_t ld, int64_t n_rows, int64_t dim)
{
    double largest = 0;
    for (int64_t k = 0; k < n_rows; k++) {
        const real *row = (const real *)rows + k * ld;
        vr sum[2] = {vr_zero(), vr_zero()};
        int64_t d = 0;
        for (; d + 2 * VR_LANES <= dim; d += 2 * VR_LANES)
#pragma GCC unroll 2
            for (int i = 0; i < 2; i++) {
                const vr x = vr_load(row + d + i * VR_LANES);
                sum[i] = vr_fma(x, x, sum[i]);
            }
        for (; d < dim; d += VR_LANES) {
            const vr x = vr_load_n(row + d, dim - d < VR_LANES ? dim - d : VR_LANES);
            sum[0] = vr_fma(x, x, sum[0]);
        }
        const double squares = (double)vr_hsum(vr_add(sum[0], sum[1]));
        if (!(squares <= largest)) largest = squares;
        if (squares != squares) return INFINITY;
    }
    return FOV_NAME(norm_of)(largest, dim);
}

/* Of the queries in the lanes. */
static void FOV_NAME(modify_query_norms)(const fov_block *b, double *norms)
{
    for (int i = 0; i < b->n_lanes; i += VR_LANES) {
        const real *query = (const real *)b->query + i;
        real squares[VR_LANES];
        vr sum = vr_zero();
        for (int64_t d = 0; d < b->head_dim; d++) {
            const vr x = vr_load(query + d * b->n_lanes);
            sum = vr_fma(x, x, sum);
        }
        vr_store(squares, sum);
        for (int j = 0; j < VR_LANES; j++) norms[i + j] = (double)FOV_NAME(norm_of)((double)squares[j], b->head_dim);
    }
}

/* What the weights of a row are relative to, until it rises. */
static double FOV_NAME(modify_reference)(const fov_block *b, int row)
{
    return (double)((const real *)b->row_max)[row * b->key_lanes];
}
