/* A look at the tile registers before the first call relies on them: all eight, two products and their sums against plain C. The numbers are
 * k 2^-6 with |k| <= 64, so that no order of additions rounds, and every element has its own. */

static int FOV_NAME(tile_check)(void)
{
    enum { N = 2 * FOV_TILE_DEPTH };
    uint16_t left[TILE_ROWS][N], right[N / 2][TILE_ROWS][2];
    float sums[3][TILE_ROWS][TILE_ROWS];
    uint32_t state = 1;
    for (int i = 0; i < TILE_ROWS * N; i++) {
        state = state * 1664525u + 1013904223u;
        left[i / N][i % N] = fov_f32_to_bf16((float)((int)(state >> 25) - 64) / 64);
        state = state * 1664525u + 1013904223u;
        right[i / TILE_ROWS / 2][i / 2 % TILE_ROWS][i % 2] = fov_f32_to_bf16((float)((int)(state >> 25) - 64) / 64);
    }
    for (int m = 0; m < TILE_ROWS; m++)
        for (int n = 0; n < TILE_ROWS; n++) sums[0][m][n] = sums[1][m][n] = (float)(m - n);
    tile_configure();
    tile_load(0, sums[0], sizeof sums[0][0]);
    tile_load(1, sums[1], sizeof sums[0][0]);
    tile_zero(2);
    for (int k = 0; k < 2; k++) {
        const void *columns = left[0] + k * FOV_TILE_DEPTH, *rows = right[k * TILE_ROWS];
        tile_load(3, columns, sizeof left[0]);
        tile_load(4, rows, sizeof right[0]);
        tile_product(0, 3, 4);
        tile_load(7, columns, sizeof left[0]);
        tile_load(5, rows, sizeof right[0]);
        tile_product(1, 7, 5);
        tile_load(6, rows, sizeof right[0]);
        tile_product(2, 3, 6);
    }
    tile_store(0, sums[0], sizeof sums[0][0]);
    tile_store(1, sums[1], sizeof sums[0][0]);
    tile_store(2, sums[2], sizeof sums[0][0]);
    tile_release();
    int same = 1;
    for (int m = 0; m < TILE_ROWS; m++)
        for (int n = 0; n < TILE_ROWS; n++) {
            double sum = m - n;
            for (int k = 0; k < N; k++)
                sum += (double)fov_bf16_to_f32(left[m][k]) * (double)fov_bf16_to_f32(right[k / 2][n][k % 2]);
            same &= sum == (double)sums[0][m][n] && sum == (double)sums[1][m][n] && sum - (m - n) == (double)sums[2][m][n];
        }
    return same;
}
