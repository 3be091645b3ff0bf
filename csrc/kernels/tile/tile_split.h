/* Reals as one, two or three planes of bf16 numbers for tile products: each is what the ones before it leave, rounded, so that x is their sum but
 * for 2^-8, 2^-16 or 2^-24 of it. What is NaN or infinite is zero in every plane, since infinity times a low part of 0 would be NaN;
 * tile_careful.h adds what it does.
 * Each function returns 0 where there was such a number. */

FOV_INLINE vr FOV_NAME(tile_finite)(vr x, vr *probe)
{
    const vr nothing = vr_sub(x, x); /* 0, or NaN */
    *probe = vr_add(*probe, nothing);
    return vr_select(vr_eq(nothing, vr_zero()), x, vr_zero());
}

/* The pairs of two columns, planes `plane` bytes apart. */
FOV_INLINE void FOV_NAME(tile_store_pairs)(char *to, int64_t plane, vr even, vr odd, const int n_planes)
{
#pragma GCC unroll 3
    for (int i = 0; i < n_planes; i++) {
        const vr first[2] = {i ? pairs_rounded(even) : pairs_high(even), i ? pairs_rounded(odd) : pairs_high(odd)};
        pairs_store(to + i * plane, pairs_of(first[0], first[1]));
        even = vr_sub(even, first[0]), odd = vr_sub(odd, first[1]);
    }
}

static int FOV_NAME(tile_split_query)(const fov_block *b, void *query_tiles)
{
    const int64_t n_lanes = b->n_lanes, whole = (b->head_dim + FOV_TILE_DEPTH - 1) / FOV_TILE_DEPTH * FOV_TILE_DEPTH;
    vr probe = vr_zero();
    for (int64_t d = 0; d < whole; d += 2)
        for (int64_t i = 0; i < n_lanes; i += VR_LANES) {
            const real *column = (const real *)b->query + d * n_lanes + i;
            vr even = d < b->head_dim ? FOV_NAME(tile_finite)(vr_load(column), &probe) : vr_zero();
            vr odd = d + 1 < b->head_dim ? FOV_NAME(tile_finite)(vr_load(column + n_lanes), &probe) : vr_zero();
            FOV_NAME(tile_store_pairs)((char *)query_tiles + (d / 2 * n_lanes + i) * (int64_t)sizeof(real),
                                       whole / 2 * n_lanes * (int64_t)sizeof(real), even, odd, b->n_planes);
        }
    return vr_hsum(probe) == 0;
}

/* 16 columns of a row, of which n are there. */
FOV_INLINE void FOV_NAME(tile_split_piece)(const real *row, int64_t n, char *to, int64_t plane, vr *probe, const int n_planes)
{
    vr x = FOV_NAME(tile_finite)(n >= VR_LANES ? vr_load(row) : vr_load_n(row, n), probe);
    for (int i = 0; i < n_planes; i++) {
        const vr first = i ? pairs_rounded(x) : pairs_high(x);
        vf32_store_bf16(to + i * plane, first);
        x = vr_sub(x, first);
    }
}

/* Rows of n_planes times as many bf16 numbers, a plane behind the other. */
static int FOV_NAME(tile_split_keys)(const fov_block *b, const void *rows, int64_t ld, int64_t n_rows, void *key_tiles)
{
    const int64_t n = b->head_dim, whole = (n + FOV_TILE_DEPTH - 1) / FOV_TILE_DEPTH * FOV_TILE_DEPTH, plane = 2 * whole;
    vr probe = vr_zero();
    for (int64_t k = 0; k < n_rows; k++)
        for (int64_t c = 0; c < whole; c += VR_LANES)
            FOV_NAME(tile_split_piece)((const real *)rows + k * ld + c, c < n ? n - c : 0,
                                       (char *)key_tiles + k * b->n_planes * plane + 2 * c, plane, &probe, b->n_planes);
    return vr_hsum(probe) == 0;
}

/* As tile_pack_values: per FOV_TILE_DEPTH keys one plane behind the other. */
static int FOV_NAME(tile_split_values)(const fov_block *b, const void *rows, int64_t ld, int64_t n_rows, void *value_tiles)
{
    const int64_t n = b->value_dim, plane = (n + FOV_TILE_KEYS - 1) / FOV_TILE_KEYS * TILE_BYTES;
    uint16_t halves[3][FOV_TILE_DEPTH][FOV_TILE_KEYS];
    vr probe = vr_zero();
    char *tiles = value_tiles;
    for (int64_t k0 = 0; k0 < n_rows; k0 += FOV_TILE_DEPTH, tiles += b->n_planes * plane)
        for (int64_t c = 0; c < n; c += FOV_TILE_KEYS) {
            for (int64_t k = k0; k < k0 + FOV_TILE_DEPTH; k++)
                FOV_NAME(tile_split_piece)((const real *)rows + (k < n_rows ? k : 0) * ld + c, k < n_rows ? n - c : 0,
                                           (char *)halves[0][k - k0], sizeof halves[0], &probe, b->n_planes);
            for (int i = 0; i < b->n_planes; i++)
                FOV_NAME(tile_turn_piece)((const char *)halves[i], sizeof halves[0][0],
                                          tiles + i * plane + c / FOV_TILE_KEYS * TILE_BYTES);
        }
    return vr_hsum(probe) == 0;
}
