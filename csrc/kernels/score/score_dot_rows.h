/* Score dot, orientation rows (decode). score_dot.h says which score.
 *
 * Vectors run along head_dim. One vector of the tile, n_rows x n_keys = LANES logits, is LANES accumulators that are summed
 * over their lanes together; only the first n_there keys are read. K rows stream from memory, four at a time: more at a time look to
 * the prefetcher like no stream at all. Lines are asked for twice, into L2 far ahead and into L1 near: L1's 16 buffers alone carry
 * 8 GB/s from memory. Distances in rows of reals. */
#define FOV_KEYS_TOGETHER 4
#define FOV_NEAR_KEYS 8
#define FOV_FAR_KEYS 64

/* n_vectors vectors of columns from `d` on of n_together keys, against all rows. */
FOV_INLINE void FOV_NAME(score_dot_span)(const char *const *at, const float *scale, int64_t row_bytes, const real *query,
                                         int64_t head_dim, int64_t d, vr *sum, const int n_rows, const int n_keys,
                                         const int n_together, const int n_vectors, const int dtype)
{
    const int item = FOV_NAME(stored_bytes)(dtype), rows_per = (int)sizeof(real) / item;
    const int span = n_vectors * VR_LANES * item; /* bytes */
    const char *line[FOV_KEYS_TOGETHER];
    FOV_STAGE(stage, FOV_KEYS_TOGETHER);
#pragma GCC unroll 4
    for (int k = 0; k < n_together; k++) {
        line[k] = FOV_STAGED(stage, k, at[k] + d * item, n_vectors, dtype);
#pragma GCC unroll 16
        for (int i = 0; i < n_vectors; i++)
            if (VR_LANES * item >= 64 || (span % 64 ? i == 0 && d * item % 64 == 0 : i * VR_LANES * item % 64 == 0)) {
                vec_prefetch(at[k] + FOV_NEAR_KEYS * rows_per * row_bytes + d * item + i * VR_LANES * item);
                vec_prefetch_l2(at[k] + FOV_FAR_KEYS * rows_per * row_bytes + d * item + i * VR_LANES * item);
            }
    }
#pragma GCC unroll 16
    for (int i = 0; i < n_vectors; i++)
#pragma GCC unroll 4
        for (int k = 0; k < n_together; k++) {
            vr x = FOV_VR(load_staged)(line[k], i, scale[k], n_vectors, dtype);
#pragma GCC unroll 16
            for (int r = 0; r < n_rows; r++)
                sum[r * n_keys + k] = vr_fma(x, vr_load(query + r * head_dim + d + i * VR_LANES), sum[r * n_keys + k]);
        }
}

FOV_INLINE void FOV_NAME(score_dot_few)(const fov_stored *keys, int64_t key, const real *query, int64_t head_dim, real *logits,
                                        const int n_rows, const int n_keys, int n_there, const int dtype)
{
    const int n_together = n_keys < FOV_KEYS_TOGETHER ? n_keys : FOV_KEYS_TOGETHER, line = FOV_NAME(line_vectors)(dtype);
    const int64_t whole = head_dim - head_dim % VR_LANES, row_bytes = keys->row_bytes;
    const char *rows = keys->rows + key * row_bytes;
    vr sum[VR_LANES];
#pragma GCC unroll 16
    for (int i = 0; i < VR_LANES; i++) sum[i] = vr_zero();
#pragma GCC unroll 4
    for (int k0 = 0; k0 < n_keys; k0 += n_together) {
        const char *at[FOV_KEYS_TOGETHER];
        float scale[FOV_KEYS_TOGETHER];
#pragma GCC unroll 4
        for (int k = 0; k < n_together; k++) {
            const int there = k0 + k < n_there ? k0 + k : n_there - 1;
            at[k] = rows + there * row_bytes;
            scale[k] = FOV_NAME(has_scales)(dtype) ? FOV_NAME(scale_of)(keys, key + there, dtype) : 1;
        }
        int64_t d = 0;
        for (; d + line * VR_LANES <= whole; d += line * VR_LANES)
            FOV_NAME(score_dot_span)(at, scale, row_bytes, query, head_dim, d, sum + k0, n_rows, n_keys, n_together, line, dtype);
        if (line > 1)
            for (; d < whole; d += VR_LANES)
                FOV_NAME(score_dot_span)(at, scale, row_bytes, query, head_dim, d, sum + k0, n_rows, n_keys, n_together, 1,
                                         dtype);
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

/* Eight rows where a vector holds 16 reals: four rows by four columns lie in a vector of queries, and four elements of a key are broadcast
 * to all of them. The four partial sums of a logit then take 9 operations per 16 logits, where one logit per vector takes 45: a quarter
 * of the time at head_dim 128. Keys of another type are converted once, into a block that stays in L1. */
#if defined(FOV_QUADS) && FOV_REAL_BITS == 32
#define FOV_QUAD_KEYS 8
#define FOV_QUAD_DIM 256 /* columns, at most: 8 KiB of queries and as much of keys */
#define FOV_QUAD_LD (FOV_QUAD_DIM + 16)

FOV_INLINE void FOV_NAME(score_dot_quad_queries)(const real *query, int64_t head_dim, real *quads)
{
    for (int64_t d = 0; d < head_dim; d += VR_LANES)
#pragma GCC unroll 2
        for (int half = 0; half < 2; half++) {
            vr q[4];
#pragma GCC unroll 4
            for (int r = 0; r < 4; r++) q[r] = vr_load(query + (4 * half + r) * head_dim + d);
            vf32_transpose_quads(q);
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++) vr_store(quads + 8 * (d + 4 * i) + VR_LANES * half, q[i]);
        }
}

/* Logits of 8 keys: four vectors of the tile, of two keys each. */
FOV_INLINE void FOV_NAME(score_dot_quad_keys)(const real *key, int64_t key_ld, const real *quads, int64_t head_dim, real *tile,
                                              const int asks)
{
    vr sum[FOV_QUAD_KEYS][2], out[2];
#pragma GCC unroll 8
    for (int k = 0; k < FOV_QUAD_KEYS; k++) sum[k][0] = sum[k][1] = vr_zero();
    for (int64_t d = 0; d < head_dim; d += VR_LANES) {
        if (asks)
#pragma GCC unroll 8
            for (int k = 0; k < FOV_QUAD_KEYS; k++) {
                vec_prefetch(key + (k + FOV_NEAR_KEYS) * key_ld + d);
                vec_prefetch_l2(key + (k + FOV_FAR_KEYS) * key_ld + d);
            }
#pragma GCC unroll 4
        for (int i = 0; i < VR_LANES; i += 4) {
            vr q0 = vr_load(quads + 8 * (d + i)), q1 = vr_load(quads + 8 * (d + i) + VR_LANES);
#pragma GCC unroll 8
            for (int k = 0; k < FOV_QUAD_KEYS; k++) {
                vr x = vf32_set4(key + k * key_ld + d + i);
                sum[k][0] = vr_fma(x, q0, sum[k][0]);
                sum[k][1] = vr_fma(x, q1, sum[k][1]);
            }
        }
    }
#pragma GCC unroll 2
    for (int k = 0; k < FOV_QUAD_KEYS; k += 4) {
        vf32_sums_of_quads(sum + k, out);
        vr_store(tile + k / 2 * VR_LANES, out[0]);
        vr_store(tile + (k / 2 + 1) * VR_LANES, out[1]);
    }
}

FOV_INLINE void FOV_NAME(score_dot_convert)(const char *row, int64_t d, int64_t row_bytes, float scale, real *reals,
                                            const int n_vectors, const int dtype)
{
    const int item = FOV_NAME(stored_bytes)(dtype), rows_per = (int)sizeof(real) / item;
    const char *at = row + d * item;
    FOV_STAGE(stage, 1);
    const char *from = FOV_STAGED(stage, 0, at, n_vectors, dtype);
    if (n_vectors > 1 || d * item % 64 == 0) {
        vec_prefetch(at + FOV_NEAR_KEYS * rows_per * row_bytes);
        vec_prefetch_l2(at + FOV_FAR_KEYS * rows_per * row_bytes);
    }
#pragma GCC unroll 16
    for (int i = 0; i < n_vectors; i++) vr_store(reals + d + i * VR_LANES, FOV_VR(load_staged)(from, i, scale, n_vectors, dtype));
}

FOV_INLINE void FOV_NAME(score_dot_quads)(const fov_block *b, const fov_stored *keys, const int dtype)
{
    const int n_keys = b->n_keys, line = FOV_NAME(line_vectors)(dtype);
    const int64_t head_dim = b->head_dim, row_bytes = keys->row_bytes;
    real quads[8 * FOV_QUAD_DIM], rows[FOV_QUAD_KEYS * FOV_QUAD_LD], last[FOV_QUAD_KEYS * 8], *tile = b->tile;
    FOV_NAME(score_dot_quad_queries)(b->query, head_dim, quads);
    for (int k0 = 0; k0 < n_keys; k0 += FOV_QUAD_KEYS) {
        const int whole = k0 + FOV_QUAD_KEYS <= n_keys;
        real *out = whole ? tile + k0 * 8 : last;
        if (dtype == FOV_STORED_REAL && whole) {
            FOV_NAME(score_dot_quad_keys)((const real *)(keys->rows + k0 * row_bytes), row_bytes / (int64_t)sizeof(real), quads,
                                          head_dim, out, 1);
            continue;
        }
        for (int k = 0; k < FOV_QUAD_KEYS; k++) {
            const int key = k0 + k < n_keys ? k0 + k : n_keys - 1; /* what the last step has too much is masked by the driver */
            const char *row = keys->rows + key * row_bytes;
            const float scale = FOV_NAME(has_scales)(dtype) ? FOV_NAME(scale_of)(keys, key, dtype) : 1;
            int64_t d = 0;
            for (; d + line * VR_LANES <= head_dim; d += line * VR_LANES)
                FOV_NAME(score_dot_convert)(row, d, row_bytes, scale, rows + k * FOV_QUAD_LD, line, dtype);
            for (; d < head_dim; d += VR_LANES)
                FOV_NAME(score_dot_convert)(row, d, row_bytes, scale, rows + k * FOV_QUAD_LD, 1, dtype);
        }
        FOV_NAME(score_dot_quad_keys)(rows, FOV_QUAD_LD, quads, head_dim, out, 0);
        if (!whole) memcpy(tile + k0 * 8, last, sizeof(real) * (size_t)((b->n_steps - k0 / 2) * VR_LANES));
    }
}
#endif

FOV_INLINE void FOV_NAME(score_dot_of)(const fov_block *b, const fov_stored *keys, const int dtype)
{
    switch (b->key_lanes) {
    case 1: FOV_NAME(score_dot_steps)(b, keys, VR_LANES, 1, dtype); break;
#if VR_LANES >= 2
    case 2:
#if defined(FOV_QUADS) && FOV_REAL_BITS == 32
        if (b->head_dim <= FOV_QUAD_DIM && b->head_dim % VR_LANES == 0) {
            FOV_NAME(score_dot_quads)(b, keys, dtype);
            break;
        }
#endif
        FOV_NAME(score_dot_steps)(b, keys, VR_LANES / 2, 2, dtype);
        break;
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
#undef FOV_QUAD_KEYS
#undef FOV_QUAD_DIM
#undef FOV_QUAD_LD
