/* Score dot: logit = sum_d query_d key_d (Vaswani et al. 2017, section 3.2.1). reference.py: SCORES["dot"].
 *
 * lanes: S^T = K Q^T. Per step of d, FOV_SCORE_KEYS key elements are broadcast against n_vectors vectors of queries; the
 * accumulators stay in registers over all of head_dim, so one logit is one chain of head_dim fused multiply-adds. */

FOV_INLINE void FOV_NAME(score_dot_keys)(const real *key, int64_t key_ld, const real *query, int64_t head_dim, real *tile,
                                         const int n_keys, const int n_vectors)
{
    const int n_lanes = n_vectors * VR_LANES;
    vr sum[8][3];
#pragma GCC unroll 8
    for (int k = 0; k < n_keys; k++)
#pragma GCC unroll 3
        for (int j = 0; j < n_vectors; j++) sum[k][j] = vr_zero();
#pragma GCC unroll 4
    for (int64_t d = 0; d < head_dim; d++) {
        vr q[3];
#pragma GCC unroll 3
        for (int j = 0; j < n_vectors; j++) q[j] = vr_load(query + d * n_lanes + j * VR_LANES);
#pragma GCC unroll 8
        for (int k = 0; k < n_keys; k++) {
            vr x = vr_set1(key[k * key_ld + d]);
#pragma GCC unroll 3
            for (int j = 0; j < n_vectors; j++) sum[k][j] = vr_fma(x, q[j], sum[k][j]);
        }
    }
#pragma GCC unroll 8
    for (int k = 0; k < n_keys; k++)
#pragma GCC unroll 3
        for (int j = 0; j < n_vectors; j++) vr_store(tile + k * n_lanes + j * VR_LANES, sum[k][j]);
}

FOV_INLINE void FOV_NAME(score_dot_tile)(const fov_block *b, int64_t head_dim, const int n_vectors)
{
    const real *key = b->key, *query = b->query;
    real *tile = b->tile;
    const int n_lanes = n_vectors * VR_LANES;
    int k = 0;
    for (; k + FOV_SCORE_KEYS <= b->n_keys; k += FOV_SCORE_KEYS)
        FOV_NAME(score_dot_keys)(key + k * b->key_ld, b->key_ld, query, head_dim, tile + k * n_lanes, FOV_SCORE_KEYS, n_vectors);
    if (FOV_SCORE_KEYS > 4 && k + 4 <= b->n_keys) {
        FOV_NAME(score_dot_keys)(key + k * b->key_ld, b->key_ld, query, head_dim, tile + k * n_lanes, 4, n_vectors);
        k += 4;
    }
    for (; k < b->n_keys; k++)
        FOV_NAME(score_dot_keys)(key + k * b->key_ld, b->key_ld, query, head_dim, tile + k * n_lanes, 1, n_vectors);
}

static void FOV_NAME(score_dot_lanes)(fov_block *b)
{
    switch (b->n_lanes / VR_LANES) {
    case 1: FOV_NAME(score_dot_tile)(b, b->head_dim, 1); break;
    case 2: FOV_NAME(score_dot_tile)(b, b->head_dim, 2); break;
    default: /* a constant head_dim gives the compiler the loop count: 2-3 % */
        if (b->head_dim == 64) FOV_NAME(score_dot_tile)(b, 64, 3);
        else if (b->head_dim == 128) FOV_NAME(score_dot_tile)(b, 128, 3);
        else FOV_NAME(score_dot_tile)(b, b->head_dim, 3);
    }
}

/* rows: vectors run along head_dim; n_keys x n_rows accumulators share their loads, then each is summed over its lanes. */
FOV_INLINE void FOV_NAME(score_dot_few)(const fov_block *b, int key0, int row0, const int n_keys, const int n_rows)
{
    const real *key = (const real *)b->key + key0 * b->key_ld, *query = (const real *)b->query + row0 * b->head_dim;
    const int64_t head_dim = b->head_dim, whole = head_dim - head_dim % VR_LANES;
    vr sum[4][4];
#pragma GCC unroll 4
    for (int k = 0; k < n_keys; k++)
#pragma GCC unroll 4
        for (int r = 0; r < n_rows; r++) sum[k][r] = vr_zero();
    for (int64_t d = 0; d < whole; d += VR_LANES) {
        vr x[4];
#pragma GCC unroll 4
        for (int k = 0; k < n_keys; k++) x[k] = vr_load(key + k * b->key_ld + d);
#pragma GCC unroll 4
        for (int r = 0; r < n_rows; r++) {
            vr q = vr_load(query + r * head_dim + d);
#pragma GCC unroll 4
            for (int k = 0; k < n_keys; k++) sum[k][r] = vr_fma(x[k], q, sum[k][r]);
        }
    }
    if (whole < head_dim) {
#pragma GCC unroll 4
        for (int k = 0; k < n_keys; k++) {
            vr x = vr_load_n(key + k * b->key_ld + whole, head_dim - whole);
#pragma GCC unroll 4
            for (int r = 0; r < n_rows; r++)
                sum[k][r] = vr_fma(x, vr_load_n(query + r * head_dim + whole, head_dim - whole), sum[k][r]);
        }
    }
    real *tile = (real *)b->tile + (int64_t)key0 * b->n_lanes + row0;
#pragma GCC unroll 4
    for (int k = 0; k < n_keys; k++)
#pragma GCC unroll 4
        for (int r = 0; r < n_rows; r++) tile[k * b->n_lanes + r] = vr_hsum(sum[k][r]);
}

static void FOV_NAME(score_dot_rows)(fov_block *b)
{
    int k = 0;
    real *tile = b->tile;
    for (int i = 0; i < b->n_keys; i++) /* lanes without a row stay defined */
        for (int r = b->n_rows; r < b->n_lanes; r++) tile[(int64_t)i * b->n_lanes + r] = 0;
    for (; k + FOV_ROWS_KEYS <= b->n_keys; k += FOV_ROWS_KEYS) {
        int r = 0;
        for (; r + 4 <= b->n_rows; r += 4) FOV_NAME(score_dot_few)(b, k, r, FOV_ROWS_KEYS, 4);
        for (; r < b->n_rows; r++) FOV_NAME(score_dot_few)(b, k, r, FOV_ROWS_KEYS, 1);
    }
    for (; k < b->n_keys; k++)
        for (int r = 0; r < b->n_rows; r++) FOV_NAME(score_dot_few)(b, k, r, 1, 1);
}

#define FOV_SCORE_ENTRY_dot {.lanes = FOV_NAME(score_dot_lanes), .rows = FOV_NAME(score_dot_rows)}
