/* Score dot: logit = sum_d query_d key_d (Vaswani et al. 2017, section 3.2.1). reference.py: SCORES["dot"].
 *
 * lanes: S^T = K Q^T. Per step of d, FOV_SCORE_KEYS key elements are broadcast against n_vectors vectors of queries; the
 * accumulators stay in registers over a slab of head_dim, and rest in the tile between slabs, so one logit is one chain of
 * head_dim fused multiply-adds. A slab keeps its part of the queries in L1: head_dim = 256 has 48 KiB of them. */
#define FOV_SLAB 128

FOV_INLINE void FOV_NAME(score_dot_keys)(const real *key, int64_t key_ld, const real *query, int64_t head_dim, int is_first,
                                         real *tile, const int n_keys, const int n_vectors)
{
    const int n_lanes = n_vectors * VR_LANES;
    vr sum[8][3];
#pragma GCC unroll 8
    for (int k = 0; k < n_keys; k++)
#pragma GCC unroll 3
        for (int j = 0; j < n_vectors; j++) sum[k][j] = is_first ? vr_zero() : vr_load(tile + k * n_lanes + j * VR_LANES);
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

FOV_INLINE void FOV_NAME(score_dot_slab)(const fov_block *b, int64_t first, int64_t n, const int n_vectors)
{
    const int n_lanes = n_vectors * VR_LANES;
    const real *key = (const real *)b->key + first, *query = (const real *)b->query + first * n_lanes;
    real *tile = b->tile;
    int k = 0;
    for (; k + FOV_SCORE_KEYS <= b->n_keys; k += FOV_SCORE_KEYS)
        FOV_NAME(score_dot_keys)(key + k * b->key_ld, b->key_ld, query, n, first == 0, tile + k * n_lanes, FOV_SCORE_KEYS,
                                 n_vectors);
    if (FOV_SCORE_KEYS > 4 && k + 4 <= b->n_keys) {
        FOV_NAME(score_dot_keys)(key + k * b->key_ld, b->key_ld, query, n, first == 0, tile + k * n_lanes, 4, n_vectors);
        k += 4;
    }
    for (; k < b->n_keys; k++)
        FOV_NAME(score_dot_keys)(key + k * b->key_ld, b->key_ld, query, n, first == 0, tile + k * n_lanes, 1, n_vectors);
}

FOV_INLINE void FOV_NAME(score_dot_tile)(const fov_block *b, int64_t head_dim, const int n_vectors)
{
    int64_t d = 0;
    for (; head_dim - d > FOV_SLAB + FOV_SLAB / 2; d += FOV_SLAB) FOV_NAME(score_dot_slab)(b, d, FOV_SLAB, n_vectors);
    FOV_NAME(score_dot_slab)(b, d, head_dim - d, n_vectors);
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

/* rows: vectors run along head_dim. One vector of the tile, n_rows x n_keys = LANES logits, is LANES accumulators that share
 * their loads and are summed over their lanes together; only the first n_there keys are read. K rows stream from memory: 16 rows ahead are asked for early. */
#define FOV_PREFETCH_KEYS 16

FOV_INLINE void FOV_NAME(score_dot_few)(const real *key, int64_t key_ld, const real *query, int64_t head_dim, real *logits,
                                        const int n_rows, const int n_keys, int n_there)
{
    const int64_t whole = head_dim - head_dim % VR_LANES;
    vr sum[VR_LANES];
#pragma GCC unroll 16
    for (int i = 0; i < VR_LANES; i++) sum[i] = vr_zero();
    for (int64_t d = 0; d < whole; d += VR_LANES) {
#pragma GCC unroll 16
        for (int k = 0; k < n_keys; k++) {
            vr x = vr_load(key + (k < n_there ? k : n_there - 1) * key_ld + d);
            vec_prefetch(key + (k + FOV_PREFETCH_KEYS) * key_ld + d);
#pragma GCC unroll 8
            for (int r = 0; r < n_rows; r++)
                sum[r * n_keys + k] = vr_fma(x, vr_load(query + r * head_dim + d), sum[r * n_keys + k]);
        }
    }
    if (whole < head_dim) {
#pragma GCC unroll 16
        for (int k = 0; k < n_keys; k++) {
            vr x = vr_load_n(key + (k < n_there ? k : n_there - 1) * key_ld + whole, head_dim - whole);
#pragma GCC unroll 8
            for (int r = 0; r < n_rows; r++)
                sum[r * n_keys + k] = vr_fma(x, vr_load_n(query + r * head_dim + whole, head_dim - whole), sum[r * n_keys + k]);
        }
    }
    vr_store(logits, vr_sums(sum));
}

FOV_INLINE void FOV_NAME(score_dot_steps)(const fov_block *b, const int n_rows, const int n_keys)
{
    const real *key = b->key, *query = b->query;
    real *tile = b->tile;
    int step = 0;
    for (; (step + 1) * n_keys <= b->n_keys; step++)
        for (int i = 0; i < b->n_lanes; i += VR_LANES) /* more than one vector only where rows > LANES: n_keys is 1 then */
            FOV_NAME(score_dot_few)(key + step * n_keys * b->key_ld, b->key_ld, query + i / n_keys * b->head_dim, b->head_dim,
                                    tile + step * b->n_lanes + i, n_rows, n_keys, n_keys);
    if (step < b->n_steps) /* the last keys, too few for a step: one of them again and again; the driver masks what is too much */
        FOV_NAME(score_dot_few)(key + step * n_keys * b->key_ld, b->key_ld, query, b->head_dim, tile + step * b->n_lanes, n_rows,
                                n_keys, b->n_keys - step * n_keys);
}

static void FOV_NAME(score_dot_rows)(fov_block *b)
{
    switch (b->key_lanes) {
    case 1: FOV_NAME(score_dot_steps)(b, VR_LANES, 1); break;
#if VR_LANES >= 2
    case 2: FOV_NAME(score_dot_steps)(b, VR_LANES / 2, 2); break;
#endif
#if VR_LANES >= 4
    case 4: FOV_NAME(score_dot_steps)(b, VR_LANES / 4, 4); break;
#endif
#if VR_LANES >= 8
    case 8: FOV_NAME(score_dot_steps)(b, VR_LANES / 8, 8); break;
#endif
#if VR_LANES >= 16
    case 16: FOV_NAME(score_dot_steps)(b, VR_LANES / 16, 16); break;
#endif
    }
}

#undef FOV_PREFETCH_KEYS
#undef FOV_SLAB

#define FOV_SCORE_ENTRY_dot {.lanes = FOV_NAME(score_dot_lanes), .rows = FOV_NAME(score_dot_rows)}
