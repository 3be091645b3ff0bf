/* A look at the tile registers before the first call relies on them: two products and their sums against plain C. The numbers are
 * k 2^-6 with |k| <= 64, so that no order of additions rounds, and every element has its own. */

static int FOV_NAME(tile_check)(void)
{
    enum { N = 2 * FOV_TILE_DEPTH };
    uint16_t left[TILE_ROWS][N], right[N / 2][TILE_ROWS][2];
    float sums[TILE_ROWS][TILE_ROWS];
    uint32_t state = 1;
    for (int i = 0; i < TILE_ROWS * N; i++) {
        state = state * 1664525u + 1013904223u;
        left[i / N][i % N] = fov_f32_to_bf16((float)((int)(state >> 25) - 64) / 64);
        state = state * 1664525u + 1013904223u;
        right[i / TILE_ROWS / 2][i / 2 % TILE_ROWS][i % 2] = fov_f32_to_bf16((float)((int)(state >> 25) - 64) / 64);
    }
    for (int m = 0; m < TILE_ROWS; m++)
        for (int n = 0; n < TILE_ROWS; n++) sums[m][n] = (float)(m - n);
    tile_configure();
    tile_zero(3);
    tile_load(0, sums, sizeof sums[0]);
    for (int k = 0; k < 2; k++) {
        tile_load(3, left[0] + k * FOV_TILE_DEPTH, sizeof left[0]);
        tile_load(4, right[k * TILE_ROWS], sizeof right[0]);
        tile_product(0, 3, 4);
    }
    tile_store(0, sums, sizeof sums[0]);
    tile_release();
    int same = 1;
    for (int m = 0; m < TILE_ROWS; m++)
        for (int n = 0; n < TILE_ROWS; n++) {
            double sum = m - n;
            for (int k = 0; k < N; k++)
                sum += (double)fov_bf16_to_f32(left[m][k]) * (double)fov_bf16_to_f32(right[k / 2][n][k % 2]);
            same &= sum == (double)sums[m][n];
        }
    return same;
}
