/* Lists: the logits of a row that may get a weight, and the sums over them. Few survive (at 2048 normal logits some 20 for sparsemax,
 * 250 for entmax15), so a vector without any is the common case and the rest is plain code. */

FOV_INLINE void FOV_NAME(lists_raise_tile)(fov_block *b, fov_lists *lists, double reach, const int n_vectors)
{
    /* some room for the roundings here: the solver looks at every logit again */
    const vr r = vr_set1((real)(reach / b->multiplier * 1.0001)), slack = vr_set1((real)0x1p-18);
    const vr most = vr_set1(FOV_REAL_BITS == 64 ? (real)DBL_MAX : (real)FLT_MAX);
    vr max[3];
    FOV_NAME(tile_max)(b->tile, b->n_steps, max, n_vectors);
    if (b->key_lanes > 1) max[0] = FOV_NAME(share_max)(max[0], b->key_lanes);
#pragma GCC unroll 3
    for (int j = 0; j < n_vectors; j++) {
        real *row_max = (real *)b->row_max + j * VR_LANES, *limit = (real *)lists->limit + j * VR_LANES;
        vr m = vr_max(max[j], vr_load(row_max)), size = vr_max(m, vr_sub(vr_zero(), m));
        vr_store(row_max, m);
        vr lower = vr_sub(vr_sub(m, r), vr_min(most, vr_mul(size, slack)));
        vr_store(limit, vr_max(vr_min(most, lower), vr_load(limit)));
    }
}

static void FOV_NAME(lists_raise)(fov_block *b, fov_lists *lists, double reach)
{
    switch (b->n_lanes / VR_LANES) {
    case 1: FOV_NAME(lists_raise_tile)(b, lists, reach, 1); break;
    case 2: FOV_NAME(lists_raise_tile)(b, lists, reach, 2); break;
    default: FOV_NAME(lists_raise_tile)(b, lists, reach, 3);
    }
}

/* NaN is above every limit and joins; -inf is above none. */
static void FOV_NAME(lists_collect)(const fov_block *b, int64_t first_key, fov_lists *lists)
{
    const real *tile = b->tile, *limit = lists->limit;
    real *values = lists->values;
    const int kl = b->key_lanes, used = b->n_rows * kl; /* lanes that pad rows have logits, but no list */
    for (int s = 0; s < b->n_steps; s++)
        for (int i = 0; i < used; i += VR_LANES) {
            const real *x = tile + (int64_t)s * b->n_lanes + i;
            uint32_t in = vr_m_bits(vr_above(vr_load(x), vr_load(limit + i)));
            for (in &= used - i < VR_LANES ? (1u << (used - i)) - 1 : ~0u; in; in &= in - 1) {
                int j = __builtin_ctz(in), row = (i + j) / kl;
                int64_t at = row * lists->stride + lists->n[row]++;
                values[at] = x[j];
                lists->keys[at] = (int32_t)(first_key + (int64_t)s * kl + (i + j) % kl);
            }
        }
}

/* How many are above x; NaN is. */
static int64_t FOV_NAME(lists_above)(const real *values, int64_t n, real x)
{
    const vr at = vr_set1(x);
    int64_t count = 0, i = 0;
    for (; i + VR_LANES <= n; i += VR_LANES) count += __builtin_popcount(vr_m_bits(vr_above(vr_load(values + i), at)));
    for (; i < n; i++) count += !(values[i] <= x);
    return count;
}

/* Integers in the order of the reals, and back: halving them reaches every real, subnormal and infinite too. */
FOV_INLINE real_bits FOV_NAME(lists_order)(real x)
{
    real_bits i;
    memcpy(&i, &x, sizeof i);
    return i < 0 ? i ^ REAL_BITS_MAX : i;
}

FOV_INLINE real FOV_NAME(lists_real)(real_bits i)
{
    real x;
    i = i < 0 ? i ^ REAL_BITS_MAX : i;
    memcpy(&x, &i, sizeof x);
    return x;
}

/* An x with at most k values above it that includes all ties of the k-th: the k-th itself or, found earlier, one between it and the
 * next. No branch depends on the data (quickselect took ten times as long). */
static real FOV_NAME(lists_kth)(const real *values, int64_t n, int64_t k)
{
    real_bits low = FOV_NAME(lists_order)(-(real)INFINITY), high = FOV_NAME(lists_order)((real)INFINITY);
    if (FOV_NAME(lists_above)(values, n, -(real)INFINITY) < k) return -(real)INFINITY;
    while (low + 1 < high) { /* k or more are above low, fewer above high */
        real_bits middle = low / 2 + high / 2 + (low % 2 + high % 2) / 2;
        int64_t above = FOV_NAME(lists_above)(values, n, FOV_NAME(lists_real)(middle));
        if (above == k) return FOV_NAME(lists_real)(middle);
        if (above > k) low = middle;
        else high = middle;
    }
    return FOV_NAME(lists_real)(high);
}

/* NaN counts as largest: a list with NaN keeps one. */
static double FOV_NAME(lists_keep)(void *list, int32_t *keys, int64_t n, int64_t k)
{
    real *values = list, least = FOV_NAME(lists_kth)(values, n, k);
    int64_t ties = k - FOV_NAME(lists_above)(values, n, least), kept = 0;
    if (ties < 0) ties = 0; /* more NaN than k */
    for (int64_t i = 0; i < n && kept < k; i++) {
        int tie = values[i] == least && ties > 0, joins = tie | !(values[i] <= least);
        values[kept] = values[i];
        keys[kept] = keys[i];
        ties -= tie;
        kept += joins;
    }
    return (double)least;
}

static void FOV_NAME(lists_set_limit)(fov_lists *lists, int first_lane, int n_lanes, double limit)
{
    for (int i = 0; i < n_lanes; i++) ((real *)lists->limit)[first_lane + i] = (real)limit;
}

FOV_INLINE void FOV_NAME(lists_sum_columns)(const real *rows, int64_t ld, const int32_t *keys, const real *weights, int64_t n,
                                            real *out, const int n_vectors, int64_t tail)
{
    vr sum[4];
#pragma GCC unroll 4
    for (int j = 0; j < n_vectors; j++) sum[j] = tail ? vr_load_n(out, tail) : vr_load(out + j * VR_LANES);
    for (int64_t i = 0; i < n; i++) {
        const real *row = rows + keys[i] * ld;
        vr w = vr_set1(weights[i]);
        if (i + 4 < n) /* rows lie anywhere: no hardware prefetcher finds the next */
#pragma GCC unroll 4
            for (int j = 0; j < n_vectors; j++) vec_prefetch(rows + keys[i + 4] * ld + j * VR_LANES);
#pragma GCC unroll 4
        for (int j = 0; j < n_vectors; j++) sum[j] = vr_fma(w, tail ? vr_load_n(row, tail) : vr_load(row + j * VR_LANES), sum[j]);
    }
#pragma GCC unroll 4
    for (int j = 0; j < n_vectors; j++) {
        if (tail) vr_store_n(out, sum[j], tail);
        else vr_store(out + j * VR_LANES, sum[j]);
    }
}

static void FOV_NAME(lists_weighted_sum)(const void *rows, int64_t ld, const int32_t *keys, const void *weights, int64_t n,
                                         int64_t dim, void *out)
{
    int64_t c = 0;
    for (; c + 4 * VR_LANES <= dim; c += 4 * VR_LANES)
        FOV_NAME(lists_sum_columns)((const real *)rows + c, ld, keys, weights, n, (real *)out + c, 4, 0);
    for (; c + VR_LANES <= dim; c += VR_LANES)
        FOV_NAME(lists_sum_columns)((const real *)rows + c, ld, keys, weights, n, (real *)out + c, 1, 0);
    if (c < dim) FOV_NAME(lists_sum_columns)((const real *)rows + c, ld, keys, weights, n, (real *)out + c, 1, dim - c);
}

static void FOV_NAME(lists_scaled)(const void *row, const void *weight, int64_t dim, void *out)
{
    const vr w = vr_set1(*(const real *)weight);
    int64_t c = 0;
    for (; c + VR_LANES <= dim; c += VR_LANES) vr_store((real *)out + c, vr_mul(w, vr_load((const real *)row + c)));
    if (c < dim) vr_store_n((real *)out + c, vr_mul(w, vr_load_n((const real *)row + c, dim - c)), dim - c);
}
