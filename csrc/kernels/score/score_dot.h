/* Score dot: logit = sum_d query_d key_d (Vaswani et al. 2017, section 3.2.1). reference.py: SCORES["dot"].
 *
 * lanes: S^T = K Q^T. Per step of d, FOV_SCORE_KEYS key elements are broadcast against n_vectors vectors of queries; the
 * accumulators stay in registers over a slab of head_dim, and rest in the tile between slabs, so one logit is one chain of
 * head_dim fused multiply-adds. A slab keeps its part of the queries in L1: head_dim = 256 has 48 KiB of them. */
#define FOV_SLAB 128
#define FOV_QUARTERS 4 /* of a tile: the blocks of a task ask for one each */
#define FOV_ASK_EVERY                                                                                                            \
    8 /* elements of head_dim; for 8 keys twice as many of the rows that come next: 16 floats are a line, 16 doubles two, which processors fetch in pairs */

/* Asks for the next line of the keys and of the values that come next. From L3 they arrive at 20 GB/s: the first look at V alone took 3 % of
 * a prefill. Spread over the loop the requests cost nothing; in one burst they fill the 16 line buffers and the loads wait. A narrow
 * block is often the only one of its task, and has time for four quarters. */
FOV_INLINE void FOV_NAME(score_dot_ask)(const fov_block *b, int key, int64_t first, int64_t head_dim, int64_t d,
                                        const int n_quarters)
{
    const int64_t at = d * (FOV_SCORE_KEYS / 4), next = at >= head_dim, column = first + at - (next ? head_dim : 0);
    for (int i = 0; i < 2; i++) {
        const char *line = b->ahead[i] + (key / 4 + next) * b->ahead_bytes[i] + column * (int64_t)sizeof(real);
#pragma GCC unroll 4
        for (int part = 0; part < n_quarters; part++) vec_prefetch_l2(line + part * b->ahead_step[i]);
    }
}

FOV_INLINE void FOV_NAME(score_dot_step)(const real *key, int64_t key_ld, const real *query, vr (*sum)[3], const int n_keys,
                                         const int n_vectors)
{
    vr q[3];
#pragma GCC unroll 3
    for (int j = 0; j < n_vectors; j++) q[j] = vr_load(query + j * VR_LANES);
#pragma GCC unroll 8
    for (int k = 0; k < n_keys; k++) {
        vr x = vr_set1(key[k * key_ld]);
#pragma GCC unroll 3
        for (int j = 0; j < n_vectors; j++) vr_add_product(&sum[k][j], x, q[j]);
    }
}

/* Keys k0 and on against n_vectors of the vectors of a tile of n_lanes. */
FOV_INLINE void FOV_NAME(score_dot_keys)(const fov_block *b, int k0, int lane0, int64_t first, int64_t head_dim, const int n_keys,
                                         const int n_vectors, const int64_t n_lanes, const int n_quarters)
{
    const int64_t key_ld = b->key_ld;
    const real *key = (const real *)b->key + first + k0 * key_ld, *query = (const real *)b->query + first * n_lanes + lane0;
    real *tile = (real *)b->tile + k0 * n_lanes + lane0;
    vr sum[8][3];
#pragma GCC unroll 8
    for (int k = 0; k < n_keys; k++)
#pragma GCC unroll 3
        for (int j = 0; j < n_vectors; j++) sum[k][j] = first == 0 ? vr_zero() : vr_load(tile + k * n_lanes + j * VR_LANES);
    int64_t d = 0;
    if (n_keys == FOV_SCORE_KEYS)
        for (; d + FOV_ASK_EVERY <= head_dim; d += FOV_ASK_EVERY) {
            FOV_NAME(score_dot_ask)(b, k0, first, head_dim, d, n_quarters);
#pragma GCC unroll 8
            for (int i = 0; i < FOV_ASK_EVERY; i++)
                FOV_NAME(score_dot_step)(key + d + i, key_ld, query + (d + i) * n_lanes, sum, n_keys, n_vectors);
        }
#pragma GCC unroll 4
    for (; d < head_dim; d++) FOV_NAME(score_dot_step)(key + d, key_ld, query + d * n_lanes, sum, n_keys, n_vectors);
#pragma GCC unroll 8
    for (int k = 0; k < n_keys; k++)
#pragma GCC unroll 3
        for (int j = 0; j < n_vectors; j++) vr_store(tile + k * n_lanes + j * VR_LANES, sum[k][j]);
}

/* FOV_SCORE_KEYS keys of a tile that a diagonal cuts, against the vectors that attend some of them. */
FOV_OUTLINE void FOV_NAME(score_dot_trimmed)(const fov_block *b, int k0, int64_t first, int64_t head_dim)
{
    const int n_vectors = b->n_lanes / VR_LANES;
    int j0 = 0, j1 = n_vectors;
    while (j0 < j1 && b->vector_last[j0] <= k0) j0++;
    while (j0 < j1 && b->vector_first[j1 - 1] >= k0 + FOV_SCORE_KEYS) j1--;
    switch (j1 - j0) {
    case 3: FOV_NAME(score_dot_keys)(b, k0, 0, first, head_dim, FOV_SCORE_KEYS, 3, b->n_lanes, 1); break;
    case 2: FOV_NAME(score_dot_keys)(b, k0, j0 * VR_LANES, first, head_dim, FOV_SCORE_KEYS, 2, b->n_lanes, 1); break;
    case 1: FOV_NAME(score_dot_keys)(b, k0, j0 * VR_LANES, first, head_dim, FOV_SCORE_KEYS, 1, b->n_lanes, 1); break;
    default:;
    }
    for (int k = k0; k < k0 + FOV_SCORE_KEYS; k++)
        for (int j = 0; j < n_vectors; j++)
            if (j < j0 || j >= j1) vr_store((real *)b->tile + (int64_t)k * b->n_lanes + j * VR_LANES, vr_zero());
}

FOV_INLINE void FOV_NAME(score_dot_slab)(const fov_block *b, int64_t first, int64_t n, const int n_vectors, const int n_quarters)
{
    const int n_lanes = n_vectors * VR_LANES;
    int k = 0;
    for (; n_vectors > 1 && b->trimmed && k + FOV_SCORE_KEYS <= b->n_keys; k += FOV_SCORE_KEYS)
        FOV_NAME(score_dot_trimmed)(b, k, first, n);
    for (; k + FOV_SCORE_KEYS <= b->n_keys; k += FOV_SCORE_KEYS)
        FOV_NAME(score_dot_keys)(b, k, 0, first, n, FOV_SCORE_KEYS, n_vectors, n_lanes, n_quarters);
    if (FOV_SCORE_KEYS > 4 && k + 4 <= b->n_keys) {
        FOV_NAME(score_dot_keys)(b, k, 0, first, n, 4, n_vectors, n_lanes, n_quarters);
        k += 4;
    }
    for (; k < b->n_keys; k++) FOV_NAME(score_dot_keys)(b, k, 0, first, n, 1, n_vectors, n_lanes, n_quarters);
}

FOV_INLINE void FOV_NAME(score_dot_tile)(const fov_block *b, int64_t head_dim, const int n_vectors, const int n_quarters)
{
    int64_t d = 0;
    for (; head_dim - d > FOV_SLAB + FOV_SLAB / 2; d += FOV_SLAB) FOV_NAME(score_dot_slab)(b, d, FOV_SLAB, n_vectors, n_quarters);
    FOV_NAME(score_dot_slab)(b, d, head_dim - d, n_vectors, n_quarters);
}

FOV_INLINE void FOV_NAME(score_dot_narrow)(const fov_block *b, const int n_quarters)
{
    if (b->n_lanes == VR_LANES) FOV_NAME(score_dot_tile)(b, b->head_dim, 1, n_quarters);
    else FOV_NAME(score_dot_tile)(b, b->head_dim, 2, n_quarters);
}

static void FOV_NAME(score_dot_lanes)(fov_block *b)
{
    if (b->n_lanes < FOV_MAX_VECTORS * VR_LANES) {
        if (b->ahead_step[0] | b->ahead_step[1]) FOV_NAME(score_dot_narrow)(b, FOV_QUARTERS);
        else FOV_NAME(score_dot_narrow)(b, 1);
    } else if (b->head_dim == 64) FOV_NAME(score_dot_tile)(b, 64, 3, 1); /* a constant gives the compiler the loop count: 2-3 % */
    else if (b->head_dim == 128) FOV_NAME(score_dot_tile)(b, 128, 3, 1);
    else FOV_NAME(score_dot_tile)(b, b->head_dim, 3, 1);
}

#undef FOV_QUARTERS
#undef FOV_SLAB
#undef FOV_ASK_EVERY

#define FOV_SCORE_ENTRY_dot                                                                                                      \
    {.lanes = FOV_NAME(score_dot_lanes), .rows = FOV_NAME(score_dot_rows), .rows_stored = FOV_IF_STORED(score_dot_rows_stored)}
