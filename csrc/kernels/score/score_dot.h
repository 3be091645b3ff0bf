/* Score dot: logit = sum_d query_d key_d (Vaswani et al. 2017, section 3.2.1). reference.py: SCORES["dot"].
 *
 * lanes: S^T = K Q^T. Per step of d, FOV_SCORE_KEYS key elements are broadcast against n_vectors vectors of queries; the
 * accumulators stay in registers over a slab of head_dim, and rest in the tile between slabs, so one logit is one chain of
 * head_dim fused multiply-adds. A slab keeps its part of the queries in L1: head_dim = 256 has 48 KiB of them. */
#define FOV_SLAB 128
#define FOV_ASK_EVERY                                                                                                            \
    8 /* elements of head_dim; for 8 keys twice as many of the rows that come next: 16 floats are a line, 16 doubles two, which processors fetch in pairs */

/* Asks for the next line of the keys and of the values that come next. From L3 they arrive at 20 GB/s: the first look at V alone took 3 % of
 * a prefill. Spread over the loop the requests cost nothing; in one burst they fill the 16 line buffers and the loads wait. */
FOV_INLINE void FOV_NAME(score_dot_ask)(const fov_block *b, int key, int64_t first, int64_t head_dim, int64_t d)
{
    const int64_t at = d * (FOV_SCORE_KEYS / 4), next = at >= head_dim, column = first + at - (next ? head_dim : 0);
    for (int i = 0; i < 2; i++)
        vec_prefetch_l2(b->ahead[i] + (key / 4 + next) * b->ahead_bytes[i] + column * (int64_t)sizeof(real));
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
                                         const int n_vectors, const int64_t n_lanes)
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
            FOV_NAME(score_dot_ask)(b, k0, first, head_dim, d);
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
    case 3: FOV_NAME(score_dot_keys)(b, k0, 0, first, head_dim, FOV_SCORE_KEYS, 3, b->n_lanes); break;
    case 2: FOV_NAME(score_dot_keys)(b, k0, j0 * VR_LANES, first, head_dim, FOV_SCORE_KEYS, 2, b->n_lanes); break;
    case 1: FOV_NAME(score_dot_keys)(b, k0, j0 * VR_LANES, first, head_dim, FOV_SCORE_KEYS, 1, b->n_lanes); break;
    default:;
    }
    for (int k = k0; k < k0 + FOV_SCORE_KEYS; k++)
        for (int j = 0; j < n_vectors; j++)
            if (j < j0 || j >= j1) vr_store((real *)b->tile + (int64_t)k * b->n_lanes + j * VR_LANES, vr_zero());
}

FOV_INLINE void FOV_NAME(score_dot_slab)(const fov_block *b, int64_t first, int64_t n, const int n_vectors)
{
    const int n_lanes = n_vectors * VR_LANES;
    int k = 0;
    for (; n_vectors > 1 && b->trimmed && k + FOV_SCORE_KEYS <= b->n_keys; k += FOV_SCORE_KEYS)
        FOV_NAME(score_dot_trimmed)(b, k, first, n);
    for (; k + FOV_SCORE_KEYS <= b->n_keys; k += FOV_SCORE_KEYS)
        FOV_NAME(score_dot_keys)(b, k, 0, first, n, FOV_SCORE_KEYS, n_vectors, n_lanes);
    if (FOV_SCORE_KEYS > 4 && k + 4 <= b->n_keys) {
        FOV_NAME(score_dot_keys)(b, k, 0, first, n, 4, n_vectors, n_lanes);
        k += 4;
    }
    for (; k < b->n_keys; k++) FOV_NAME(score_dot_keys)(b, k, 0, first, n, 1, n_vectors, n_lanes);
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

/* rows: vectors run along head_dim. One vector of the tile, n_rows x n_keys = LANES logits, is LANES accumulators that are summed
 * over their lanes together; only the first n_there keys are read. K rows stream from memory, four at a time: more at a time look to
 * the prefetcher like no stream at all. Lines are asked for twice, into L2 far ahead and into L1 near: L1's 16 buffers alone carry
 * 8 GB/s from memory. Distances in rows of reals. */
#define FOV_KEYS_TOGETHER 4
#define FOV_NEAR_KEYS 8
#define FOV_FAR_KEYS 64

FOV_INLINE void FOV_NAME(score_dot_few)(const fov_stored *keys, int64_t key, const real *query, int64_t head_dim, real *logits,
                                        const int n_rows, const int n_keys, int n_there, const int dtype)
{
    const int item = FOV_NAME(stored_bytes)(dtype), rows_per = (int)sizeof(real) / item;
    const int n_together = n_keys < FOV_KEYS_TOGETHER ? n_keys : FOV_KEYS_TOGETHER;
    const int64_t whole = head_dim - head_dim % VR_LANES, row_bytes = keys->row_bytes;
    const char *rows = keys->rows + key * row_bytes;
    float scale[VR_LANES];
    vr sum[VR_LANES];
#pragma GCC unroll 16
    for (int i = 0; i < VR_LANES; i++) sum[i] = vr_zero();
    if (FOV_NAME(has_scales)(dtype))
        for (int k = 0; k < n_keys; k++) scale[k] = FOV_NAME(scale_of)(keys, key + (k < n_there ? k : n_there - 1));
#pragma GCC unroll 4
    for (int k0 = 0; k0 < n_keys; k0 += n_together)
        for (int64_t d = 0; d < whole; d += VR_LANES) {
            const int new_line = VR_LANES * item >= 64 || d * item % 64 == 0;
#pragma GCC unroll 16
            for (int k = k0; k < k0 + n_together; k++) {
                const char *at = rows + (k < n_there ? k : n_there - 1) * row_bytes + d * item;
                vr x = FOV_VR(load_stored)(at, FOV_NAME(has_scales)(dtype) ? scale[k] : 1, dtype);
                if (new_line) {
                    vec_prefetch(rows + (k + FOV_NEAR_KEYS * rows_per) * row_bytes + d * item);
                    vec_prefetch_l2(rows + (k + FOV_FAR_KEYS * rows_per) * row_bytes + d * item);
                }
#pragma GCC unroll 16
                for (int r = 0; r < n_rows; r++)
                    sum[r * n_keys + k] = vr_fma(x, vr_load(query + r * head_dim + d), sum[r * n_keys + k]);
            }
        }
    if (dtype == FOV_STORED_REAL && whole < head_dim) {
#pragma GCC unroll 16
        for (int k = 0; k < n_keys; k++) {
            const char *row = rows + (k < n_there ? k : n_there - 1) * row_bytes;
            vr x = vr_load_n((const real *)row + whole, head_dim - whole);
#pragma GCC unroll 8
            for (int r = 0; r < n_rows; r++)
                sum[r * n_keys + k] = vr_fma(x, vr_load_n(query + r * head_dim + whole, head_dim - whole), sum[r * n_keys + k]);
        }
    }
    vr_store(logits, vr_sums(sum));
}

FOV_INLINE void FOV_NAME(score_dot_steps)(const fov_block *b, const fov_stored *keys, const int n_rows, const int n_keys,
                                          const int dtype)
{
    const real *query = b->query;
    real *tile = b->tile;
    int step = 0;
    for (; (step + 1) * n_keys <= b->n_keys; step++)
        for (int i = 0; i < b->n_lanes; i += VR_LANES) /* more than one vector only where rows > LANES: n_keys is 1 then */
            FOV_NAME(score_dot_few)(keys, step * n_keys, query + i / n_keys * b->head_dim, b->head_dim,
                                    tile + step * b->n_lanes + i, n_rows, n_keys, n_keys, dtype);
    if (step < b->n_steps) /* the last keys, too few for a step: one of them again and again; the driver masks what is too much */
        FOV_NAME(score_dot_few)(keys, step * n_keys, query, b->head_dim, tile + step * b->n_lanes, n_rows, n_keys,
                                b->n_keys - step * n_keys, dtype);
}

FOV_INLINE void FOV_NAME(score_dot_of)(const fov_block *b, const fov_stored *keys, const int dtype)
{
    switch (b->key_lanes) {
    case 1: FOV_NAME(score_dot_steps)(b, keys, VR_LANES, 1, dtype); break;
#if VR_LANES >= 2
    case 2: FOV_NAME(score_dot_steps)(b, keys, VR_LANES / 2, 2, dtype); break;
#endif
#if VR_LANES >= 4
    case 4: FOV_NAME(score_dot_steps)(b, keys, VR_LANES / 4, 4, dtype); break;
#endif
#if VR_LANES >= 8
    case 8: FOV_NAME(score_dot_steps)(b, keys, VR_LANES / 8, 8, dtype); break;
#endif
#if VR_LANES >= 16
    case 16: FOV_NAME(score_dot_steps)(b, keys, VR_LANES / 16, 16, dtype); break;
#endif
    }
}

static void FOV_NAME(score_dot_rows)(fov_block *b)
{
    const fov_stored keys = {.rows = b->key, .row_bytes = b->key_ld * (int64_t)sizeof(real)};
    FOV_NAME(score_dot_of)(b, &keys, FOV_STORED_REAL);
}

#if FOV_REAL_BITS == 32
static void FOV_NAME(score_dot_rows_stored)(fov_block *b) { FOV_OF_STORED(FOV_NAME(score_dot_of), b, &b->stored_key); }
#endif

#undef FOV_KEYS_TOGETHER
#undef FOV_NEAR_KEYS
#undef FOV_FAR_KEYS
#undef FOV_SLAB
#undef FOV_ASK_EVERY

#define FOV_SCORE_ENTRY_dot                                                                                                      \
    {.lanes = FOV_NAME(score_dot_lanes), .rows = FOV_NAME(score_dot_rows), .rows_stored = FOV_IF_STORED(score_dot_rows_stored)}
