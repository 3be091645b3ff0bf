/* The dot score and the weighted sum as products of tiles: S^T = K Q^T and O^T += V^T P^T, queries in the lanes as everywhere else.
 * Up to three tiles of sums, 16 keys or columns x 16 lanes each, share a tile of keys or values; 16 cycles a product, 8.5 a load.
 * Of two planes a product is high high + low high + high low: nine products of eight loads; low low is left out, 2^-16 of it. Of three it
 * is the six largest of nine, 18 products of 13 loads, without 2^-24 of it. */

#define FOV_KEEP_TILES(of, at)                                                                                                   \
    do {                                                                                                                         \
        of(0, at, step);                                                                                                         \
        if (n_vectors > 1) of(1, at + TILE_ROW_BYTES, step);                                                                     \
        if (n_vectors > 2) of(2, at + 2 * TILE_ROW_BYTES, step);                                                                 \
    } while (0)

/* Tiles 4 to 6, rows `apart` bytes from each other. */
#define FOV_LOAD_RIGHT(right, apart)                                                                                             \
    do {                                                                                                                         \
        tile_load(4, right, apart);                                                                                              \
        if (n_vectors > 1) tile_load(5, right + TILE_ROW_BYTES, apart);                                                          \
        if (n_vectors > 2) tile_load(6, right + 2 * TILE_ROW_BYTES, apart);                                                      \
    } while (0)

/* sums 0 .. 2 += tile `left` times tiles 4 to 6 */
#define FOV_ADD_PRODUCTS(left)                                                                                                   \
    do {                                                                                                                         \
        tile_product(0, left, 4);                                                                                                \
        if (n_vectors > 1) tile_product(1, left, 5);                                                                             \
        if (n_vectors > 2) tile_product(2, left, 6);                                                                             \
    } while (0)

/* The products of all planes: of the left, `left_plane` bytes and rows left_apart apart, and of the right. */
#define FOV_ADD_PLANES(left, left_plane, left_apart, right, right_plane, right_apart)                                            \
    do {                                                                                                                         \
        tile_load(3, left, left_apart);                                                                                          \
        FOV_LOAD_RIGHT(right, right_apart);                                                                                      \
        FOV_ADD_PRODUCTS(3);                                                                                                     \
        if (n_planes > 1) {                                                                                                      \
            tile_load(7, left + left_plane, left_apart);                                                                         \
            FOV_ADD_PRODUCTS(7);                                                                                                 \
        }                                                                                                                        \
        if (n_planes > 2) {                                                                                                      \
            tile_load(3, left + 2 * (left_plane), left_apart);                                                                   \
            FOV_ADD_PRODUCTS(3);                                                                                                 \
            tile_load(3, left, left_apart);                                                                                      \
        }                                                                                                                        \
        if (n_planes > 1) {                                                                                                      \
            FOV_LOAD_RIGHT(right + right_plane, right_apart);                                                                    \
            FOV_ADD_PRODUCTS(3);                                                                                                 \
        }                                                                                                                        \
        if (n_planes > 2) {                                                                                                      \
            FOV_ADD_PRODUCTS(7);                                                                                                 \
            FOV_LOAD_RIGHT(right + 2 * (right_plane), right_apart);                                                              \
            FOV_ADD_PRODUCTS(3);                                                                                                 \
        }                                                                                                                        \
    } while (0)

/* asks: few rows, whose values come next. */
FOV_INLINE void FOV_NAME(tile_score_of)(const fov_block *b, const int n_vectors, const int n_planes, const int asks)
{
    const int64_t step = n_vectors * TILE_ROW_BYTES; /* bytes of a row of logits, and of pairs of queries */
    const int64_t whole = (b->head_dim + FOV_TILE_DEPTH - 1) / FOV_TILE_DEPTH * FOV_TILE_DEPTH;
    for (int64_t k = 0; k < b->n_keys; k += FOV_TILE_KEYS) {
        const char *keys = (const char *)b->key_tiles + k * b->key_tiles_bytes, *queries = b->query_tiles;
        char *logits = (char *)b->tile + k * step;
        tile_zero(0);
        tile_zero(1);
        tile_zero(2);
        for (int64_t d = 0; d < b->head_dim; d += FOV_TILE_DEPTH, keys += TILE_ROW_BYTES, queries += TILE_ROWS * step) {
            FOV_ADD_PLANES(keys, 2 * whole, b->key_tiles_bytes, queries, whole / 2 * step, step);
            if (asks)
                FOV_NAME(tile_ask)(&b->stored_value, k, FOV_TILE_KEYS, 2 * b->value_dim * d / whole,
                                   2 * b->value_dim * (d + FOV_TILE_DEPTH) / whole);
        }
        FOV_KEEP_TILES(tile_store, logits);
    }
}

FOV_INLINE void FOV_NAME(tile_score_planes)(const fov_block *b, const int n_planes)
{
    switch (b->n_lanes / VR_LANES) {
    case 1: FOV_NAME(tile_score_of)(b, 1, n_planes, 0); break;
    case 2: FOV_NAME(tile_score_of)(b, 2, n_planes, 0); break;
    default: FOV_NAME(tile_score_of)(b, 3, n_planes, 0);
    }
}

static void FOV_NAME(tile_score)(fov_block *b)
{
    switch (b->n_planes) {
    case 3: FOV_NAME(tile_score_planes)(b, 3); break;
    case 2: FOV_NAME(tile_score_planes)(b, 2); break;
    default: FOV_NAME(tile_score_planes)(b, 1);
    }
}

static void FOV_NAME(tile_score_rows)(fov_block *b) { FOV_NAME(tile_score_of)(b, 1, 1, 1); }

/* The weights of two keys as pairs, in place: a row of pairs lies no farther than the rows it comes from. Zeros up to a multiple of
 * FOV_TILE_DEPTH keys. */
FOV_INLINE void FOV_NAME(tile_pack_weights)(const fov_block *b, const int n_vectors, const int round)
{
    const int64_t n_lanes = n_vectors * VR_LANES, n_keys = b->n_keys;
    real *tile = b->tile;
    int64_t k = 0;
    for (; k < n_keys - 1; k += 2)
#pragma GCC unroll 3
        for (int j = 0; j < n_vectors; j++) {
            const real *w = tile + k * n_lanes + j * VR_LANES;
            vr even = vr_load(w), odd = vr_load(w + n_lanes);
            if (round) even = pairs_rounded(even), odd = pairs_rounded(odd);
            pairs_store(tile + k / 2 * n_lanes + j * VR_LANES, pairs_of(even, odd));
        }
    for (; k % FOV_TILE_DEPTH != 0 || k < n_keys; k += 2)
        for (int j = 0; j < n_vectors; j++) {
            vr even = k < n_keys ? vr_load(tile + k * n_lanes + j * VR_LANES) : vr_zero();
            if (round) even = pairs_rounded(even);
            pairs_store(tile + k / 2 * n_lanes + j * VR_LANES, pairs_of(even, vr_zero()));
        }
}

/* Pairs of two keys, plane by plane. Two planes take the two rows that the keys had; three have room of their own. */
FOV_INLINE void FOV_NAME(tile_split_weights)(const fov_block *b, char *to, const int n_vectors, const int n_planes)
{
    const int64_t n_lanes = n_vectors * VR_LANES, n_keys = b->n_keys, row = n_lanes * (int64_t)sizeof(real);
    for (int64_t k = 0; k % FOV_TILE_DEPTH != 0 || k < n_keys; k += 2, to += n_planes * row)
#pragma GCC unroll 3
        for (int j = 0; j < n_vectors; j++) {
            const real *w = (const real *)b->tile + k * n_lanes + j * VR_LANES;
            vr even = vr_zero(), odd = vr_zero();
            if (k < n_keys) even = FOV_NAME(tile_take_not_finite)(b, k, j * VR_LANES, vr_load(w));
            if (k + 1 < n_keys) odd = FOV_NAME(tile_take_not_finite)(b, k + 1, j * VR_LANES, vr_load(w + n_lanes));
            FOV_NAME(tile_store_pairs)(to + j * TILE_ROW_BYTES, row, even, odd, n_planes);
        }
}

FOV_INLINE void FOV_NAME(tile_sum_of)(const fov_block *b, const int n_vectors, const int n_planes)
{
    const int64_t step = n_vectors * TILE_ROW_BYTES,
                  apart = n_planes * step; /* bytes of a row of accumulators; from pairs to pairs */
    const int64_t n_tiles = (b->value_dim + FOV_TILE_KEYS - 1) / FOV_TILE_KEYS; /* of 32 keys and a plane */
    char *pairs = n_planes > 2 ? b->weight_tiles : b->tile;
    if (n_planes > 1) FOV_NAME(tile_split_weights)(b, pairs, n_vectors, n_planes);
    else if (b->has_rounded_weights) FOV_NAME(tile_pack_weights)(b, n_vectors, 0);
    else FOV_NAME(tile_pack_weights)(b, n_vectors, 1);
    for (int64_t c = 0; c < n_tiles; c++) {
        const char *values = (const char *)b->value_tiles + c * TILE_BYTES, *weights = pairs;
        char *out = (char *)b->accumulators + c * TILE_ROWS * step;
        FOV_KEEP_TILES(tile_load, out);
        for (int64_t k = 0; k < b->n_keys; k += FOV_TILE_DEPTH) {
            FOV_ADD_PLANES(values, n_tiles * TILE_BYTES, TILE_ROW_BYTES, weights, step, apart);
            values += n_planes * n_tiles * TILE_BYTES;
            weights += TILE_ROWS * apart;
        }
        FOV_KEEP_TILES(tile_store, out);
    }
}

FOV_INLINE void FOV_NAME(tile_sum_planes)(const fov_block *b, const int n_planes)
{
    switch (b->n_lanes / VR_LANES) {
    case 1: FOV_NAME(tile_sum_of)(b, 1, n_planes); break;
    case 2: FOV_NAME(tile_sum_of)(b, 2, n_planes); break;
    default: FOV_NAME(tile_sum_of)(b, 3, n_planes);
    }
}

static void FOV_NAME(tile_weighted_sum)(fov_block *b)
{
    switch (b->n_planes) {
    case 3: FOV_NAME(tile_sum_planes)(b, 3); break;
    case 2: FOV_NAME(tile_sum_planes)(b, 2); break;
    default: FOV_NAME(tile_sum_planes)(b, 1);
    }
}

#undef FOV_KEEP_TILES
#undef FOV_LOAD_RIGHT
#undef FOV_ADD_PRODUCTS
#undef FOV_ADD_PLANES
