/* Activation softmax: w_j = exp(x_j - lse), lse = log sum_j exp(x_j). reference.py: ACTIVATIONS["softmax"].
 *
 * Online (Milakov and Gimelshein 2018), in base 2: y = tile value * c with c = multiplier * log2(e), folded into the
 * subtraction of the maximum by one fused multiply-add. row_max is a reference in the same units, not the exact maximum: it
 * moves only when a tile exceeds it by more than 8, so weights stay under 2^8 and most tiles rescale nothing (the idea of
 * FlashAttention-4). Every decision is per lane: a row's bits do not depend on the rows beside it. */

#define FOV_STALE_LIMIT ((real)8)

static void FOV_NAME(activation_softmax_init)(fov_block *b, const double *sinks)
{
    real *max = b->row_max, *sum = b->row_sum;
    for (int i = 0; i < b->n_lanes; i++) {
        int row = i / b->key_lanes, sink = sinks && row < b->n_rows && sinks[row] != -(double)INFINITY;
        max[i] = sink ? (real)(sinks[row] * 1.4426950408889634) : -(real)INFINITY;
        sum[i] = sink && i % b->key_lanes == 0 ? 1 : 0;
    }
}

/* The lanes of a row agree on one maximum. Once per tile of few rows: plain code. */
FOV_INLINE vr FOV_NAME(softmax_share_max)(vr max, int key_lanes)
{
    real lane[VR_LANES];
    vr_store(lane, max);
    for (int i = 0; i < VR_LANES; i += key_lanes) {
        real m = lane[i];
        for (int j = 1; j < key_lanes; j++) m = lane[i + j] > m || m != m ? lane[i + j] : m;
        for (int j = 0; j < key_lanes; j++) lane[i + j] = m;
    }
    return vr_load(lane);
}

/* The largest c * tile value of each lane. Four chains per vector: one alone is bound by the latency of max. */
FOV_INLINE void FOV_NAME(softmax_tile_max)(const real *tile, int n_steps, vr c, vr *max, const int n_vectors)
{
    const int n_lanes = n_vectors * VR_LANES;
    vr m[4][3];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
#pragma GCC unroll 3
        for (int j = 0; j < n_vectors; j++) m[i][j] = vr_set1(-(real)INFINITY);
    int k = 0;
    for (; k + 4 <= n_steps; k += 4)
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
#pragma GCC unroll 3
            for (int j = 0; j < n_vectors; j++) m[i][j] = vr_max(vr_load(tile + (k + i) * n_lanes + j * VR_LANES), m[i][j]);
    for (; k < n_steps; k++)
#pragma GCC unroll 3
        for (int j = 0; j < n_vectors; j++) m[0][j] = vr_max(vr_load(tile + k * n_lanes + j * VR_LANES), m[0][j]);
#pragma GCC unroll 3
    for (int j = 0; j < n_vectors; j++) max[j] = vr_mul(c, vr_max(vr_max(m[0][j], m[1][j]), vr_max(m[2][j], m[3][j])));
}

FOV_INLINE int FOV_NAME(softmax_tile)(fov_block *b, const int n_vectors)
{
    const int n_lanes = n_vectors * VR_LANES, n_steps = b->n_steps;
    const vr c = vr_set1((real)(b->multiplier * 1.4426950408889634)), none = vr_set1(-(real)INFINITY);
    real *tile = b->tile, *row_max = b->row_max, *row_sum = b->row_sum, *row_factor = b->row_factor;
    vr tile_max[3], minus_max[3], sum[3];
    int rescale = 0;

    FOV_NAME(softmax_tile_max)(tile, n_steps, c, tile_max, n_vectors);
    if (b->key_lanes > 1) tile_max[0] = FOV_NAME(softmax_share_max)(tile_max[0], b->key_lanes);
#pragma GCC unroll 3
    for (int j = 0; j < n_vectors; j++) {
        vr m = vr_load(row_max + j * VR_LANES);
        vm rise = vr_gt(tile_max[j], vr_add(m, vr_set1(FOV_STALE_LIMIT)));
        sum[j] = vr_load(row_sum + j * VR_LANES);
        if (vr_any(rise)) {
            vr higher = vr_select(rise, tile_max[j], m);
            vr factor = vr_select(rise, FOV_NAME(exp2)(vr_sub(m, higher)), vr_set1(1));
            rescale |= vr_any(vr_gt(vr_select(rise, m, none), none)); /* a first maximum has nothing to rescale */
            sum[j] = vr_mul(sum[j], factor);
            vr_store(row_factor + j * VR_LANES, factor);
            vr_store(row_max + j * VR_LANES, higher);
            m = higher;
        } else {
            vr_store(row_factor + j * VR_LANES, vr_set1(1));
        }
        m = vr_select(vr_eq(m, none), vr_zero(), m); /* nothing attended yet: -inf - 0 = -inf */
        minus_max[j] = vr_sub(vr_zero(), m);
    }
#pragma GCC unroll 2
    for (int k = 0; k < n_steps; k++)
#pragma GCC unroll 3
        for (int j = 0; j < n_vectors; j++) {
            real *p = tile + k * n_lanes + j * VR_LANES;
            vr w = FOV_NAME(exp2)(vr_fma(vr_load(p), c, minus_max[j]));
            sum[j] = vr_add(sum[j], w);
            vr_store(p, w);
        }
#pragma GCC unroll 3
    for (int j = 0; j < n_vectors; j++) vr_store(row_sum + j * VR_LANES, sum[j]);
    return rescale;
}

static int FOV_NAME(activation_softmax_tile)(fov_block *b)
{
    switch (b->n_lanes / VR_LANES) {
    case 1: return FOV_NAME(softmax_tile)(b, 1);
    case 2: return FOV_NAME(softmax_tile)(b, 2);
    default: return FOV_NAME(softmax_tile)(b, 3);
    }
}

static void FOV_NAME(activation_softmax_finish)(fov_block *b)
{
    real *sum = b->row_sum, *factor = b->row_factor;
    for (int i = 0; b->key_lanes > 1 && i < b->n_lanes; i += b->key_lanes) {
        for (int j = 1; j < b->key_lanes; j++) sum[i] += sum[i + j];
        for (int j = 1; j < b->key_lanes; j++) sum[i + j] = sum[i];
    }
    for (int i = 0; i < b->n_lanes; i += VR_LANES) {
        vr s = vr_load(sum + i);
        vr_store(factor + i, vr_select(vr_eq(s, vr_zero()), vr_zero(), vr_div(vr_set1(1), s))); /* an empty row is 0 */
    }
}

/* The final weights: 2^(y - row_max) / row_sum, with the factor that finish left. */
static void FOV_NAME(activation_softmax_weights)(fov_block *b)
{
    const vr c = vr_set1((real)(b->multiplier * 1.4426950408889634)), none = vr_set1(-(real)INFINITY);
    for (int i = 0; i < b->n_lanes; i += VR_LANES) {
        vr m = vr_load((real *)b->row_max + i), factor = vr_load((real *)b->row_factor + i);
        m = vr_sub(vr_zero(), vr_select(vr_eq(m, none), vr_zero(), m));
        for (int k = 0; k < b->n_steps; k++) {
            real *p = (real *)b->tile + (int64_t)k * b->n_lanes + i;
            vr x = vr_load(p), w = vr_mul(FOV_NAME(exp2)(vr_fma(x, c, m)), factor);
            vr_store(p, vr_select(vr_eq(x, none), vr_zero(), w)); /* masked: 0 even in a row that is NaN */
        }
    }
}

static void FOV_NAME(activation_softmax_merge)(fov_block *into, fov_block *from)
{
    const vr none = vr_set1(-(real)INFINITY);
    for (int i = 0; i < into->n_lanes; i += VR_LANES) {
        vr a = vr_load((real *)into->row_max + i), b = vr_load((real *)from->row_max + i);
        vr max = vr_max(a, b), base = vr_select(vr_eq(max, none), vr_zero(), max);
        vr fa = FOV_NAME(exp2)(vr_sub(a, base)), fb = FOV_NAME(exp2)(vr_sub(b, base));
        vr sum = vr_fma(vr_load((real *)into->row_sum + i), fa, vr_mul(vr_load((real *)from->row_sum + i), fb));
        vr_store((real *)into->row_max + i, max);
        vr_store((real *)into->row_sum + i, sum);
        vr_store((real *)into->row_factor + i, fa);
        vr_store((real *)from->row_factor + i, fb);
    }
}

/* ln2 (row_max + log2 row_sum), in double; -inf for an empty row. */
static void FOV_NAME(activation_softmax_lse)(const fov_block *b, double *lse)
{
    const real *max = b->row_max, *sum = b->row_sum;
    for (int row = 0; row < b->n_rows; row++) {
        int i = row * b->key_lanes;
        lse[row] = sum[i] == 0 ? -(double)INFINITY : 0.69314718055994531 * ((double)max[i] + log2((double)sum[i]));
    }
}

#undef FOV_STALE_LIMIT

#define FOV_ACTIVATION_ENTRY_softmax                                                                                             \
    {.has_lse = 1,                                                                                                               \
     .takes_sinks = 1,                                                                                                           \
     .init = FOV_NAME(activation_softmax_init),                                                                                  \
     .tile = FOV_NAME(activation_softmax_tile),                                                                                  \
     .finish = FOV_NAME(activation_softmax_finish),                                                                              \
     .weights = FOV_NAME(activation_softmax_weights),                                                                            \
     .merge = FOV_NAME(activation_softmax_merge),                                                                                \
     .lse = FOV_NAME(activation_softmax_lse)}
