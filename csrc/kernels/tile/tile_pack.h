/* Queries and values as the tile products want them: kernel_types.h, fov_tiles. Keys need nothing but rows that are whole. */

/* [head_dim][n_lanes] reals -> pairs of columns, zeros up to a multiple of FOV_TILE_DEPTH columns. Once per query block. */
static void FOV_NAME(tile_pack_query)(const fov_block *b, void *query_tiles)
{
    const int64_t n_lanes = b->n_lanes, whole = (b->head_dim + FOV_TILE_DEPTH - 1) / FOV_TILE_DEPTH * FOV_TILE_DEPTH;
    for (int64_t d = 0; d < whole; d += 2)
        for (int64_t i = 0; i < n_lanes; i += VR_LANES) {
            const real *column = (const real *)b->query + d * n_lanes + i;
            vr even = d < b->head_dim ? vr_load(column) : vr_zero(),
               odd = d + 1 < b->head_dim ? vr_load(column + n_lanes) : vr_zero();
            pairs_store((char *)query_tiles + (d / 2 * n_lanes + i) * (int64_t)sizeof(real), pairs_of(even, odd));
        }
}

/* Rows and columns that are there, others and what is not finite as zeros. */
static int FOV_NAME(tile_copy_piece)(const char *rows, int64_t row_bytes, int64_t n_rows, int64_t n_columns,
                                     uint16_t to[FOV_TILE_DEPTH][FOV_TILE_KEYS])
{
    int finite = 1;
    memset(to, 0, TILE_BYTES);
    for (int64_t k = 0; k < n_rows && k < FOV_TILE_DEPTH; k++) {
        memcpy(to[k], rows + k * row_bytes, (size_t)(2 * (n_columns < FOV_TILE_KEYS ? n_columns : FOV_TILE_KEYS)));
        for (int c = 0; c < FOV_TILE_KEYS; c++)
            if ((to[k][c] & 0x7f80u) == 0x7f80u) finite = to[k][c] = 0;
    }
    return finite;
}

FOV_INLINE int FOV_NAME(tile_turn_piece)(const char *rows, int64_t row_bytes, char *tile)
{
    int finite = halves_turn(rows, row_bytes, tile);
    return finite & halves_turn(rows + TILE_ROW_BYTES / 4, row_bytes, tile + TILE_BYTES / 2);
}

/* 32 keys x 16 columns, turned around. */
FOV_INLINE int FOV_NAME(tile_pack_piece)(const char *rows, int64_t row_bytes, int64_t n_rows, int64_t n_columns, char *tile)
{
    uint16_t copy[FOV_TILE_DEPTH][FOV_TILE_KEYS];
    if (n_rows >= FOV_TILE_DEPTH && n_columns >= FOV_TILE_KEYS && FOV_NAME(tile_turn_piece)(rows, row_bytes, tile)) return 1;
    int finite = FOV_NAME(tile_copy_piece)(rows, row_bytes, n_rows, n_columns, copy);
    FOV_NAME(tile_turn_piece)((const char *)copy, sizeof copy[0], tile);
    return finite;
}

/* Once per block of keys, for the query blocks of a task: 1.2 % of a prefill where 1024 rows share it (prototype). */
static int FOV_NAME(tile_pack_values)(const char *rows, int64_t row_bytes, int64_t n_rows, int64_t n_columns, void *value_tiles)
{
    char *tile = value_tiles;
    int finite = 1;
    for (int64_t k = 0; k < n_rows; k += FOV_TILE_DEPTH)
        for (int64_t c = 0; c < n_columns; c += FOV_TILE_KEYS, tile += TILE_BYTES)
            finite &= FOV_NAME(tile_pack_piece)(rows + k * row_bytes + 2 * c, row_bytes, n_rows - k, n_columns - c, tile);
    return finite;
}
