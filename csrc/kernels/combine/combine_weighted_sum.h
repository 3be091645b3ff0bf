/* Combine weighted_sum: output = sum_j w_j value_j. reference.py: COMBINES["weighted_sum"].
 *
 * lanes: O^T += V^T P^T, the mirror image of the dot score: FOV_SCORE_KEYS columns of value_dim are accumulated in registers over
 * all keys of the block, each value element broadcast against the vectors of weights. */

/* Keys [k0, k1) into n_vectors of the vectors of n_lanes. */
FOV_INLINE void FOV_NAME(weighted_sum_columns)(const fov_block *b, int64_t column, int k0, int k1, int lane0, const int n_columns,
                                               const int n_vectors, const int64_t n_lanes)
{
    const real *value = (const real *)b->value + column, *weights = (const real *)b->tile + lane0;
    real *out = (real *)b->accumulators + column * n_lanes + lane0;
    vr sum[8][3];
#pragma GCC unroll 8
    for (int c = 0; c < n_columns; c++)
#pragma GCC unroll 3
        for (int j = 0; j < n_vectors; j++) sum[c][j] = vr_load(out + c * n_lanes + j * VR_LANES);
#pragma GCC unroll 2
    for (int k = k0; k < k1; k++) {
        vr w[3];
#pragma GCC unroll 3
        for (int j = 0; j < n_vectors; j++) w[j] = vr_load(weights + k * n_lanes + j * VR_LANES);
        const real *v = value + k * b->value_ld;
#pragma GCC unroll 8
        for (int c = 0; c < n_columns; c++) {
            vr x = vr_set1(v[c]);
#pragma GCC unroll 3
            for (int j = 0; j < n_vectors; j++) sum[c][j] = vr_fma(x, w[j], sum[c][j]);
        }
    }
#pragma GCC unroll 8
    for (int c = 0; c < n_columns; c++)
#pragma GCC unroll 3
        for (int j = 0; j < n_vectors; j++) vr_store(out + c * n_lanes + j * VR_LANES, sum[c][j]);
}

/* A tile that a diagonal cuts: runs of keys that the same vectors attend. */
FOV_OUTLINE void FOV_NAME(weighted_sum_trimmed)(const fov_block *b, int64_t column)
{
    const int n_vectors = b->n_lanes / VR_LANES;
    for (int k = 0, end; k < b->n_keys; k = end) {
        int j0 = 0, j1 = n_vectors;
        while (j0 < j1 && b->vector_last[j0] <= k) j0++;
        while (j0 < j1 && b->vector_first[j1 - 1] > k) j1--;
        end = b->n_keys;
        for (int j = 0; j < n_vectors; j++) {
            if (b->vector_last[j] > k && b->vector_last[j] < end) end = b->vector_last[j];
            if (b->vector_first[j] > k && b->vector_first[j] < end) end = b->vector_first[j];
        }
        const int lane0 = j0 * VR_LANES;
        switch (j1 - j0) {
        case 3: FOV_NAME(weighted_sum_columns)(b, column, k, end, lane0, FOV_SCORE_KEYS, 3, b->n_lanes); break;
        case 2: FOV_NAME(weighted_sum_columns)(b, column, k, end, lane0, FOV_SCORE_KEYS, 2, b->n_lanes); break;
        case 1: FOV_NAME(weighted_sum_columns)(b, column, k, end, lane0, FOV_SCORE_KEYS, 1, b->n_lanes); break;
        default:;
        }
    }
}

FOV_INLINE void FOV_NAME(weighted_sum_tile)(const fov_block *b, const int n_vectors)
{
    const int n_lanes = n_vectors * VR_LANES, n_keys = b->n_keys;
    int64_t c = 0;
    for (; n_vectors > 1 && b->trimmed && c + FOV_SCORE_KEYS <= b->value_dim; c += FOV_SCORE_KEYS)
        FOV_NAME(weighted_sum_trimmed)(b, c);
    for (; c + FOV_SCORE_KEYS <= b->value_dim; c += FOV_SCORE_KEYS)
        FOV_NAME(weighted_sum_columns)(b, c, 0, n_keys, 0, FOV_SCORE_KEYS, n_vectors, n_lanes);
    if (FOV_SCORE_KEYS > 4 && c + 4 <= b->value_dim) {
        FOV_NAME(weighted_sum_columns)(b, c, 0, n_keys, 0, 4, n_vectors, n_lanes);
        c += 4;
    }
    for (; c < b->value_dim; c++) FOV_NAME(weighted_sum_columns)(b, c, 0, n_keys, 0, 1, n_vectors, n_lanes);
}

static void FOV_NAME(combine_weighted_sum_lanes)(fov_block *b)
{
    switch (b->n_lanes / VR_LANES) {
    case 1: FOV_NAME(weighted_sum_tile)(b, 1); break;
    case 2: FOV_NAME(weighted_sum_tile)(b, 2); break;
    default: FOV_NAME(weighted_sum_tile)(b, 3);
    }
}

/* The careful form: same order, same bits, but a value that a row does not attend is never multiplied. */
static void FOV_NAME(combine_weighted_sum_lanes_selected)(fov_block *b, const uint32_t *attend)
{
    const int n_lanes = b->n_lanes;
    for (int k = 0; k < b->n_keys; k++) {
        const real *v = (const real *)b->value + k * b->value_ld;
        for (int i = 0; i < n_lanes; i += VR_LANES) {
            vm m = vr_bits(attend + (int64_t)(k / 32) * n_lanes + i, k % 32);
            vr w = vr_load((const real *)b->tile + (int64_t)k * n_lanes + i);
            for (int64_t c = 0; c < b->value_dim; c++) {
                real *out = (real *)b->accumulators + c * n_lanes + i;
                vr sum = vr_load(out);
                vr_store(out, vr_select(m, vr_fma(vr_set1(v[c]), w, sum), sum));
            }
        }
    }
}

FOV_INLINE int FOV_NAME(weighted_sum_rescale)(fov_block *b, const int n_vectors)
{
    const vr zero = vr_zero();
    vr factor[3], probe[3] = {zero, zero, zero}; /* x * 0 is 0, or NaN for Inf and NaN */
#pragma GCC unroll 3
    for (int j = 0; j < n_vectors; j++) factor[j] = vr_load((const real *)b->row_factor + j * VR_LANES);
    for (int64_t c = 0; c < b->value_dim; c++)
#pragma GCC unroll 3
        for (int j = 0; j < n_vectors; j++) {
            real *out = (real *)b->accumulators + (c * n_vectors + j) * VR_LANES;
            vr x = vr_load(out);
            probe[j] = vr_fma(x, zero, probe[j]);
            vr_store(out, vr_add(vr_mul(x, factor[j]), zero)); /* + 0: a product flushed to -0 leaves no sign */
        }
    return vr_hsum(vr_add(vr_add(probe[0], probe[1]), probe[2])) == 0;
}

static int FOV_NAME(combine_weighted_sum_lanes_rescale)(fov_block *b)
{
    switch (b->n_lanes / VR_LANES) {
    case 1: return FOV_NAME(weighted_sum_rescale)(b, 1);
    case 2: return FOV_NAME(weighted_sum_rescale)(b, 2);
    default: return FOV_NAME(weighted_sum_rescale)(b, 3);
    }
}

static void FOV_NAME(combine_weighted_sum_lanes_merge)(fov_block *into, fov_block *from)
{
    for (int i = 0; i < into->n_lanes; i += VR_LANES) {
        vr fa = vr_load((const real *)into->row_factor + i), fb = vr_load((const real *)from->row_factor + i);
        for (int64_t c = 0; c < into->value_dim; c++) {
            int64_t at = c * into->n_lanes + i;
            vr a = vr_load((real *)into->accumulators + at), x = vr_load((const real *)from->accumulators + at);
            vr_store((real *)into->accumulators + at, vr_fma(a, fa, vr_mul(x, fb)));
        }
    }
}

/* rows: vectors run along value_dim. Blocks of 16 keys keep the V rows in L1 while all rows of the group pass over them. */
#define FOV_ROWS_BLOCK 16
#define FOV_NEAR_VALUES 8      /* rows of reals ahead, into L1; score_dot_rows.h says why twice */
#define FOV_FAR_VALUES 64      /* into L2 */

/* `step` and `lane`: where the weights of row `row0` and key `key0` stand in the tile. */
FOV_INLINE void FOV_NAME(weighted_sum_few)(const fov_block *b, const fov_stored *values, const float *scales, int key0, int key1,
                                           const real *step, int lane, int row0, int64_t column, const int n_rows,
                                           const int n_vectors, int64_t tail, const int dtype)
{
    const int item = FOV_NAME(stored_bytes)(dtype), rows_per = (int)sizeof(real) / item;
    const int64_t kl = b->key_lanes, next_step = b->n_lanes - kl, row_bytes = values->row_bytes, value_dim = b->value_dim;
    real *out = (real *)b->accumulators + row0 * value_dim + column;
    const real *weight = step + row0 * kl + lane;
    const char *row = values->rows + key0 * row_bytes + column * item;
    vr sum[8][4];
#pragma GCC unroll 8
    for (int r = 0; r < n_rows; r++)
#pragma GCC unroll 4
        for (int j = 0; j < n_vectors; j++)
            sum[r][j] = tail ? vr_load_n(out + r * value_dim, tail) : vr_load(out + r * value_dim + j * VR_LANES);
    FOV_STAGE(stage, FOV_ROWS_BLOCK);
    if (dtype == FOV_F8_FOLDED) /* all of them first: what was just stored comes late */
        for (int k = 0; k < key1 - key0; k++) (void)FOV_STAGED(stage, k, row + k * row_bytes, n_vectors, dtype);
#pragma GCC unroll 2
    for (int k = key0; k < key1; k++, row += row_bytes) {
        const char *line = FOV_IN_STAGE(stage, k - key0, row, n_vectors, dtype);
        vr x[4];
#pragma GCC unroll 4
        for (int j = 0; j < n_vectors; j++)
            x[j] = tail ? vr_load_n((const real *)row, tail) : FOV_VR(load_staged)(line, j, scales[k - key0], n_vectors, dtype);
        if (!tail) /* V streams from memory as K does */
#pragma GCC unroll 4
            for (int j = 0; j < n_vectors; j++)
                if (VR_LANES * item >= 64 || j * VR_LANES * item % 64 == 0) {
                    vec_prefetch(row + FOV_NEAR_VALUES * rows_per * row_bytes + j * VR_LANES * item);
                    vec_prefetch_l2(row + FOV_FAR_VALUES * rows_per * row_bytes + j * VR_LANES * item);
                }
#pragma GCC unroll 8
        for (int r = 0; r < n_rows; r++) {
            vr w = vr_set1(weight[r * kl]);
#pragma GCC unroll 4
            for (int j = 0; j < n_vectors; j++) sum[r][j] = vr_fma(x[j], w, sum[r][j]);
        }
        weight++;
        if (++lane == kl) lane = 0, weight += next_step;
    }
#pragma GCC unroll 8
    for (int r = 0; r < n_rows; r++)
#pragma GCC unroll 4
        for (int j = 0; j < n_vectors; j++) {
            if (tail) vr_store_n(out + r * value_dim, sum[r][j], tail);
            else vr_store(out + r * value_dim + j * VR_LANES, sum[r][j]);
        }
}

FOV_INLINE void FOV_NAME(weighted_sum_few_rows)(const fov_block *b, const fov_stored *values, const float *scales, int key0,
                                                int key1, const real *step, int lane, int row0, const int n_rows, const int dtype)
{
    int64_t c = 0;
    const int wide = n_rows > 4 ? FOV_EIGHT_ROWS_VECTORS : n_rows > 2 ? FOV_ROWS_VECTORS : 4;
    for (; c + wide * VR_LANES <= b->value_dim; c += wide * VR_LANES)
        FOV_NAME(weighted_sum_few)(b, values, scales, key0, key1, step, lane, row0, c, n_rows, wide, 0, dtype);
    if (wide > 1)
        for (; c + VR_LANES <= b->value_dim; c += VR_LANES)
            FOV_NAME(weighted_sum_few)(b, values, scales, key0, key1, step, lane, row0, c, n_rows, 1, 0, dtype);
    if (dtype == FOV_STORED_REAL && c < b->value_dim)
        FOV_NAME(weighted_sum_few)(b, values, scales, key0, key1, step, lane, row0, c, n_rows, 1, b->value_dim - c, dtype);
}

FOV_INLINE void FOV_NAME(weighted_sum_of)(const fov_block *b, const fov_stored *values, const int dtype)
{
    const int kl = b->key_lanes, most = FOV_EIGHT_ROWS_VECTORS ? 8 : 4;
    for (int k = 0; k < b->n_keys; k += FOV_ROWS_BLOCK) {
        const int end = k + FOV_ROWS_BLOCK < b->n_keys ? k + FOV_ROWS_BLOCK : b->n_keys;
        const int n_before = k / kl, lane = k - n_before * kl; /* a division per key would cost as much as 8 FMAs */
        const real *step = (const real *)b->tile + (int64_t)n_before * b->n_lanes;
        float scales[FOV_ROWS_BLOCK];
        for (int i = k; FOV_NAME(has_scales)(dtype) && i < end; i++) scales[i - k] = FOV_NAME(scale_of)(values, i, dtype);
        int r = 0;
        if (most == 8)
            for (; r + 8 <= b->n_rows; r += 8)
                FOV_NAME(weighted_sum_few_rows)(b, values, scales, k, end, step, lane, r, most, dtype);
        for (; r + 4 <= b->n_rows; r += 4) FOV_NAME(weighted_sum_few_rows)(b, values, scales, k, end, step, lane, r, 4, dtype);
        switch (b->n_rows - r) {
        case 3: FOV_NAME(weighted_sum_few_rows)(b, values, scales, k, end, step, lane, r, 3, dtype); break;
        case 2: FOV_NAME(weighted_sum_few_rows)(b, values, scales, k, end, step, lane, r, 2, dtype); break;
        case 1: FOV_NAME(weighted_sum_few_rows)(b, values, scales, k, end, step, lane, r, 1, dtype); break;
        }
    }
}

static void FOV_NAME(combine_weighted_sum_rows)(fov_block *b)
{
    const fov_stored values = {.rows = b->value, .row_bytes = b->value_ld * (int64_t)sizeof(real)};
    FOV_NAME(weighted_sum_of)(b, &values, FOV_STORED_REAL);
}

#if FOV_REAL_BITS == 32
static void FOV_NAME(combine_weighted_sum_rows_stored)(fov_block *b)
{
    FOV_OF_STORED(FOV_NAME(weighted_sum_of), b, &b->stored_value);
}
#endif

#undef FOV_ROWS_BLOCK
#undef FOV_NEAR_VALUES
#undef FOV_FAR_VALUES

static void FOV_NAME(combine_weighted_sum_rows_selected)(fov_block *b, const uint32_t *attend)
{
    for (int k = 0; k < b->n_keys; k++) {
        const real *v = (const real *)b->value + k * b->value_ld;
        for (int r = 0; r < b->n_rows; r++) {
            int step = k / b->key_lanes, lane = r * b->key_lanes + k % b->key_lanes;
            if (!(attend[(int64_t)(step / 32) * b->n_lanes + lane] >> (step % 32) & 1u)) continue;
            vr w = vr_set1(((const real *)b->tile)[(int64_t)step * b->n_lanes + lane]);
            real *out = (real *)b->accumulators + r * b->value_dim;
            for (int64_t c = 0; c < b->value_dim; c += VR_LANES) {
                int64_t n = b->value_dim - c < VR_LANES ? b->value_dim - c : VR_LANES;
                vr_store_n(out + c, vr_fma(vr_load_n(v + c, n), w, vr_load_n(out + c, n)), n);
            }
        }
    }
}

static int FOV_NAME(combine_weighted_sum_rows_rescale)(fov_block *b)
{
    int finite = 1;
    for (int r = 0; r < b->n_rows; r++) {
        real factor = ((const real *)b->row_factor)[r * b->key_lanes], *out = (real *)b->accumulators + r * b->value_dim;
        for (int64_t c = 0; c < b->value_dim; c++) {
            finite &= out[c] - out[c] == 0;
            out[c] = out[c] * factor + 0;
        }
    }
    return finite;
}

static void FOV_NAME(combine_weighted_sum_rows_merge)(fov_block *into, fov_block *from)
{
    for (int r = 0; r < into->n_rows; r++) {
        vr fa = vr_set1(((const real *)into->row_factor)[r * into->key_lanes]),
           fb = vr_set1(((const real *)from->row_factor)[r * into->key_lanes]);
        real *a = (real *)into->accumulators + r * into->value_dim;
        const real *x = (const real *)from->accumulators + r * into->value_dim;
        for (int64_t c = 0; c < into->value_dim; c += VR_LANES) {
            int64_t n = into->value_dim - c < VR_LANES ? into->value_dim - c : VR_LANES;
            vr_store_n(a + c, vr_fma(vr_load_n(a + c, n), fa, vr_mul(vr_load_n(x + c, n), fb)), n);
        }
    }
}

#define FOV_COMBINE_ENTRY_weighted_sum                                                                                           \
    {                                                                                                                            \
        .lanes = {.tile = FOV_NAME(combine_weighted_sum_lanes),                                                                  \
                  .selected = FOV_NAME(combine_weighted_sum_lanes_selected),                                                     \
                  .rescale = FOV_NAME(combine_weighted_sum_lanes_rescale),                                                       \
                  .merge = FOV_NAME(combine_weighted_sum_lanes_merge)},                                                          \
        .rows = {.tile = FOV_NAME(combine_weighted_sum_rows),                                                                    \
                 .tile_stored = FOV_IF_STORED(combine_weighted_sum_rows_stored),                                                 \
                 .selected = FOV_NAME(combine_weighted_sum_rows_selected),                                                       \
                 .rescale = FOV_NAME(combine_weighted_sum_rows_rescale),                                                         \
                 .merge = FOV_NAME(combine_weighted_sum_rows_merge)}                                                             \
    }
