/* The dot score and the weighted sum as products of tiles: S^T = K Q^T and O^T += V^T P^T, queries in the lanes as everywhere else.
 * Up to three tiles of sums, 16 keys or columns x 16 lanes each, share a tile of keys or values; 16 cycles a product, 8.5 a load. */

#define FOV_KEEP_TILES(of, at)                                                                                                   \
    do {                                                                                                                         \
        of(0, at, step);                                                                                                         \
        if (n_vectors > 1) of(1, at + TILE_ROW_BYTES, step);                                                                     \
        if (n_vectors > 2) of(2, at + 2 * TILE_ROW_BYTES, step);                                                                 \
    } while (0)

/* sums 0 .. 2 += tile 3 times the tiles of `right`, whose rows are a step apart. */
#define FOV_ADD_PRODUCTS(right)                                                                                                  \
    do {                                                                                                                         \
        tile_load(4, right, step);                                                                                               \
        tile_product(0, 3, 4);                                                                                                   \
        if (n_vectors > 1) {                                                                                                     \
            tile_load(5, right + TILE_ROW_BYTES, step);                                                                          \
            tile_product(1, 3, 5);                                                                                               \
        }                                                                                                                        \
        if (n_vectors > 2) {                                                                                                     \
            tile_load(6, right + 2 * TILE_ROW_BYTES, step);                                                                      \
            tile_product(2, 3, 6);                                                                                               \
        }                                                                                                                        \
    } while (0)

FOV_INLINE void FOV_NAME(tile_score_of)(const fov_block *b, const int n_vectors)
{
    const int64_t step = n_vectors * TILE_ROW_BYTES; /* bytes of a row of logits, and of pairs of queries */
    for (int64_t k = 0; k < b->n_keys; k += FOV_TILE_KEYS) {
        const char *keys = (const char *)b->key_tiles + k * b->key_tiles_bytes, *queries = b->query_tiles;
        char *logits = (char *)b->tile + k * step;
        tile_zero(0);
        tile_zero(1);
        tile_zero(2);
        for (int64_t d = 0; d < b->head_dim; d += FOV_TILE_DEPTH, keys += TILE_ROW_BYTES, queries += TILE_ROWS * step) {
            tile_load(3, keys, b->key_tiles_bytes);
            FOV_ADD_PRODUCTS(queries);
        }
        FOV_KEEP_TILES(tile_store, logits);
    }
}

static void FOV_NAME(tile_score)(fov_block *b)
{
    switch (b->n_lanes / VR_LANES) {
    case 1: FOV_NAME(tile_score_of)(b, 1); break;
    case 2: FOV_NAME(tile_score_of)(b, 2); break;
    default: FOV_NAME(tile_score_of)(b, 3);
    }
}

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

FOV_INLINE void FOV_NAME(tile_sum_of)(const fov_block *b, const int n_vectors)
{
    const int64_t step = n_vectors * TILE_ROW_BYTES; /* bytes of a row of pairs of weights, and of accumulators */
    const int64_t n_tiles = (b->value_dim + FOV_TILE_KEYS - 1) / FOV_TILE_KEYS; /* of 32 keys */
    if (b->has_rounded_weights) FOV_NAME(tile_pack_weights)(b, n_vectors, 0);
    else FOV_NAME(tile_pack_weights)(b, n_vectors, 1);
    for (int64_t c = 0; c < n_tiles; c++) {
        const char *values = (const char *)b->value_tiles + c * TILE_BYTES, *weights = b->tile;
        char *out = (char *)b->accumulators + c * TILE_ROWS * step;
        FOV_KEEP_TILES(tile_load, out);
        for (int64_t k = 0; k < b->n_keys; k += FOV_TILE_DEPTH, values += n_tiles * TILE_BYTES, weights += TILE_ROWS * step) {
            tile_load(3, values, TILE_ROW_BYTES);
            FOV_ADD_PRODUCTS(weights);
        }
        FOV_KEEP_TILES(tile_store, out);
    }
}

static void FOV_NAME(tile_weighted_sum)(fov_block *b)
{
    switch (b->n_lanes / VR_LANES) {
    case 1: FOV_NAME(tile_sum_of)(b, 1); break;
    case 2: FOV_NAME(tile_sum_of)(b, 2); break;
    default: FOV_NAME(tile_sum_of)(b, 3);
    }
}

/* Before the sum, whose value_tiles have zeros for NaN and infinities: what those do to the rows that attend their keys. */
static void FOV_NAME(tile_add_not_finite)(fov_block *b, const uint32_t *attend)
{
    const int n_lanes = b->n_lanes;
    for (int k = 0; k < b->n_keys; k++) {
        const real *v = (const real *)b->value + k * b->value_ld;
        for (int64_t c = 0; c < b->value_dim; c++) {
            if (v[c] - v[c] == 0) continue;
            for (int i = 0; i < n_lanes; i += VR_LANES) {
                vm m = vr_bits(attend + (int64_t)(k / 32) * n_lanes + i, k % 32);
                real *out = (real *)b->accumulators + c * n_lanes + i;
                vr sum = vr_load(out), w = vr_load((const real *)b->tile + (int64_t)k * n_lanes + i);
                vr_store(out, vr_select(m, vr_fma(vr_set1(v[c]), w, sum), sum));
            }
        }
    }
}

#undef FOV_KEEP_TILES
#undef FOV_ADD_PRODUCTS
