/* Few rows of bf16 (decode), which read keys and values once: nothing of those is packed. S^T = K Q^T as for many rows, and O += P V with
 * the weights turned around and values where they lie. A product takes 16 keys by 32 columns of them as pairs of columns: weights (w, 0)
 * give the even columns, (0, w) the odd ones. Half of what it multiplies is zeros: 8 cycles a key at 128 columns, where turning the values
 * takes 28, and their way from memory 75 and more. */

/* Asks for bytes [from, to) of FOV_TILE_KEYS rows, spread over the products: rows in one burst would fill the line buffers. */
FOV_INLINE void FOV_NAME(tile_ask)(const fov_stored *rows, int64_t row, int64_t n_rows, int64_t from, int64_t to)
{
    for (int64_t i = row; i < row + n_rows; i++)
        for (int64_t at = from; at < to; at += TILE_ROW_BYTES) vec_prefetch_l2(rows->rows + i * rows->row_bytes + at);
}

/* [n_lanes][head_dim] reals -> pairs of columns, as tile_pack_query. */
static void FOV_NAME(tile_pack_query_rows)(const fov_block *b, void *query_tiles)
{
    const int64_t dim = b->head_dim, whole = (dim + FOV_TILE_DEPTH - 1) / FOV_TILE_DEPTH * FOV_TILE_DEPTH;
    real piece[VR_LANES][VR_LANES];
    const char *rows[VR_LANES];
    for (int64_t d = 0; d < whole; d += VR_LANES) {
        const int64_t n = dim - d < VR_LANES ? dim - d : VR_LANES;
        for (int i = 0; i < VR_LANES; i++) {
            rows[i] = (const char *)((const real *)b->query + i * dim + d);
            if (n == VR_LANES) continue;
            vr_store(piece[i], n > 0 ? vr_load_n((const real *)rows[i], n) : vr_zero());
            rows[i] = (const char *)piece[i];
        }
        vr column[VR_LANES];
        vf32_load_transposed(rows, 0, column);
#pragma GCC unroll 8
        for (int i = 0; i < VR_LANES; i += 2)
            pairs_store((char *)query_tiles + (d + i) / 2 * TILE_ROW_BYTES, pairs_of(column[i], column[i + 1]));
    }
}

static int FOV_NAME(tile_rows_finite)(const char *rows, int64_t row_bytes, int64_t n_rows, int64_t n_columns)
{
    pairs largest = pairs_zero();
    for (int64_t k = 0; k < n_rows; k++, rows += row_bytes)
        for (int64_t c = 0; c < n_columns; c += 2 * VR_LANES) largest = halves_exponents(largest, rows + 2 * c, n_columns - c);
    return halves_finite(largest);
}

/* Tiles of [16 rows][16 keys] weights for each 16 keys: (w, 0), then (0, w). */
FOV_INLINE void FOV_NAME(tile_turn_weights)(const fov_block *b, const int round)
{
    const vr zero = vr_zero();
    char *to = b->weight_tiles;
    for (int k0 = 0; k0 < b->n_keys; k0 += VR_LANES, to += 2 * TILE_BYTES) {
        vr w[VR_LANES];
#pragma GCC unroll 16
        for (int k = 0; k < VR_LANES; k++) {
            w[k] = k0 + k < b->n_keys ? vr_load((const real *)b->tile + (k0 + k) * VR_LANES) : zero;
            if (round) w[k] = pairs_rounded(w[k]);
        }
        vr_transpose(w);
#pragma GCC unroll 16
        for (int r = 0; r < VR_LANES; r++) {
            pairs_store(to + r * TILE_ROW_BYTES, pairs_of(w[r], zero));
            pairs_store(to + TILE_BYTES + r * TILE_ROW_BYTES, pairs_of(zero, w[r]));
        }
    }
}

/* 16 keys by 32 columns, in `room` with zeros where not all of them are there. */
FOV_INLINE const char *FOV_NAME(tile_value_piece)(const char *rows, int64_t *apart, int64_t n_keys, int64_t n_columns, char *room)
{
    if (n_keys >= TILE_ROWS && n_columns >= FOV_TILE_DEPTH) return rows;
    memset(room, 0, TILE_BYTES);
    for (int64_t k = 0; k < n_keys && k < TILE_ROWS; k++)
        memcpy(room + k * TILE_ROW_BYTES, rows + k * *apart,
               (size_t)(2 * (n_columns < FOV_TILE_DEPTH ? n_columns : FOV_TILE_DEPTH)));
    *apart = TILE_ROW_BYTES;
    return room;
}

FOV_INLINE void FOV_NAME(tile_add_columns)(const fov_block *b, int64_t column, const real *even, const real *odd)
{
    const int64_t n = b->value_dim - column;
    for (int r = 0; r < b->n_rows; r++) {
        real *out = (real *)b->accumulators + r * b->value_dim + column;
        vr sum[2];
        pairs_spread(vr_load(even + r * VR_LANES), vr_load(odd + r * VR_LANES), sum);
        for (int i = 0; i < 2 && n > i * VR_LANES; i++, out += VR_LANES) {
            const int64_t there = n - i * VR_LANES;
            if (there >= VR_LANES) vr_store(out, vr_add(vr_load(out), sum[i]));
            else vr_store_n(out, vr_add(vr_load_n(out, there), sum[i]), there);
        }
    }
}

/* 32 columns, or 64; meanwhile the keys of the next tile are asked for. */
FOV_INLINE void FOV_NAME(tile_sum_columns)(const fov_block *b, int64_t column, const int n_pieces)
{
    const int64_t n_columns = b->value_dim - column, key_bytes = 2 * b->head_dim;
    const int64_t from = column * key_bytes / b->value_dim / TILE_ROW_BYTES * TILE_ROW_BYTES;
    const int64_t to =
        n_columns <= n_pieces * FOV_TILE_DEPTH ? key_bytes : (column + n_pieces * FOV_TILE_DEPTH) * key_bytes / b->value_dim;
    const char *weights = b->weight_tiles, *rows = b->stored_value.rows + 2 * column;
    char room[2][TILE_BYTES];
    real sums[4][TILE_ROWS][VR_LANES];
    tile_zero(0);
    tile_zero(1);
    tile_zero(2);
    tile_zero(3);
    for (int64_t k = 0; k < b->n_keys; k += TILE_ROWS, weights += 2 * TILE_BYTES, rows += TILE_ROWS * b->stored_value.row_bytes) {
        int64_t apart[2] = {b->stored_value.row_bytes, b->stored_value.row_bytes};
        const char *piece = FOV_NAME(tile_value_piece)(rows, &apart[0], b->n_keys - k, n_columns, room[0]);
        tile_load(6, weights, TILE_ROW_BYTES);
        tile_load(7, weights + TILE_BYTES, TILE_ROW_BYTES);
        tile_load(4, piece, apart[0]);
        tile_product(0, 6, 4);
        tile_product(1, 7, 4);
        if (n_pieces > 1) {
            piece =
                FOV_NAME(tile_value_piece)(rows + TILE_ROW_BYTES, &apart[1], b->n_keys - k, n_columns - FOV_TILE_DEPTH, room[1]);
            tile_load(5, piece, apart[1]);
            tile_product(2, 6, 5);
            tile_product(3, 7, 5);
        }
        FOV_NAME(tile_ask)(&b->stored_key, b->n_keys + k, TILE_ROWS, from, to);
    }
    tile_store(0, sums[0], TILE_ROW_BYTES);
    tile_store(1, sums[1], TILE_ROW_BYTES);
    FOV_NAME(tile_add_columns)(b, column, sums[0][0], sums[1][0]);
    if (n_pieces < 2) return;
    tile_store(2, sums[2], TILE_ROW_BYTES);
    tile_store(3, sums[3], TILE_ROW_BYTES);
    FOV_NAME(tile_add_columns)(b, column + FOV_TILE_DEPTH, sums[2][0], sums[3][0]);
}

static void FOV_NAME(tile_weighted_sum_rows)(fov_block *b)
{
    if (b->has_rounded_weights) FOV_NAME(tile_turn_weights)(b, 0);
    else FOV_NAME(tile_turn_weights)(b, 1);
    int64_t c = 0;
    for (; b->value_dim - c > FOV_TILE_DEPTH; c += 2 * FOV_TILE_DEPTH) FOV_NAME(tile_sum_columns)(b, c, 2);
    if (c < b->value_dim) FOV_NAME(tile_sum_columns)(b, c, 1);
}
