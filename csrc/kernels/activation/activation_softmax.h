/* Activation softmax: w_j = exp(x_j - lse), lse = log sum_j exp(x_j). reference.py: ACTIVATIONS["softmax"].
 *
 * Online (Milakov and Gimelshein 2018): w = 2^((x - row_max) c), x the tile value, c = multiplier * log2(e). The difference comes
 * first, so the largest key has exactly 2^0 = 1 and an error grows with its distance from the maximum, where the weight is small,
 * not with the size of the logits. row_max is a reference in units of the tile, not the exact maximum: it moves only when a tile
 * exceeds it by more than 8 in log2, so weights stay under 2^8 and most tiles rescale nothing (the idea of FlashAttention-4).
 * Every decision is per lane: a row's bits do not depend on the rows beside it. Sinks join at the end, once per row. */

#define FOV_STALE_LIMIT ((real)8)

FOV_INLINE vr FOV_NAME(softmax_factor)(const fov_block *b) { return vr_set1((real)(b->multiplier * 1.4426950408889634)); }

/* The reference to subtract; 0 where nothing is attended yet, since -inf - 0 = -inf. */
FOV_INLINE vr FOV_NAME(softmax_base)(vr max) { return vr_select(vr_eq(max, vr_set1(-(real)INFINITY)), vr_zero(), max); }

static void FOV_NAME(activation_softmax_init)(fov_block *b)
{
    for (int i = 0; i < b->n_lanes; i++) {
        ((real *)b->row_max)[i] = -(real)INFINITY;
        ((real *)b->row_sum)[i] = 0;
    }
}

/* rounded: to bf16, for products of such numbers; the sum is that of the rounded weights, so that a row's weights add up to 1. */
FOV_INLINE vr FOV_NAME(softmax_exp2)(vr y, const int rounded)
{
#if FOV_REAL_BITS == 32 && defined(VF32_TOP_HALF)
    if (rounded) return FOV_NAME(exp2_bf16)(y);
#endif
    (void)rounded;
    return FOV_NAME(exp2)(y);
}

FOV_INLINE int FOV_NAME(softmax_tile)(fov_block *b, const int n_vectors, const int rounded)
{
    const int n_lanes = n_vectors * VR_LANES, n_steps = b->n_steps;
    const vr c = FOV_NAME(softmax_factor)(b), none = vr_set1(-(real)INFINITY);
    real *tile = b->tile, *row_max = b->row_max, *row_sum = b->row_sum, *row_factor = b->row_factor;
    vr tile_max[3], base[3], sum[3];
    int rescale = 0;

    FOV_NAME(tile_max)(tile, n_steps, tile_max, n_vectors);
    if (b->key_lanes > 1) tile_max[0] = FOV_NAME(share_max)(tile_max[0], b->key_lanes);
#pragma GCC unroll 3
    for (int j = 0; j < n_vectors; j++) {
        vr m = vr_load(row_max + j * VR_LANES);
        vm rise = vr_gt(vr_mul(vr_sub(tile_max[j], m), c), vr_set1(FOV_STALE_LIMIT));
        sum[j] = vr_load(row_sum + j * VR_LANES);
        if (vr_any(rise)) {
            vr higher = vr_select(rise, tile_max[j], m);
            int again = vr_any(vr_gt(vr_select(rise, m, none), none)); /* a first maximum has nothing to rescale */
            vr factor = vr_select(rise, again ? FOV_NAME(exp2)(vr_mul(vr_sub(m, higher), c)) : vr_zero(), vr_set1(1));
            rescale |= again;
            sum[j] = vr_mul(sum[j], factor);
            vr_store(row_factor + j * VR_LANES, factor);
            vr_store(row_max + j * VR_LANES, higher);
            m = higher;
        } else {
            vr_store(row_factor + j * VR_LANES, vr_set1(1));
        }
        base[j] = FOV_NAME(softmax_base)(m);
    }
#pragma GCC unroll 2
    for (int k = 0; k < n_steps; k++)
#pragma GCC unroll 3
        for (int j = 0; j < n_vectors; j++) {
            real *p = tile + k * n_lanes + j * VR_LANES;
            vr w = FOV_NAME(softmax_exp2)(vr_mul(vr_sub(vr_load(p), base[j]), c), rounded);
            sum[j] = vr_add(sum[j], w);
            vr_store(p, w);
        }
#pragma GCC unroll 3
    for (int j = 0; j < n_vectors; j++) vr_store(row_sum + j * VR_LANES, sum[j]);
    return rescale;
}

FOV_INLINE int FOV_NAME(softmax_tile_of)(fov_block *b, const int rounded)
{
    switch (b->n_lanes / VR_LANES) {
    case 1: return FOV_NAME(softmax_tile)(b, 1, rounded);
    case 2: return FOV_NAME(softmax_tile)(b, 2, rounded);
    default: return FOV_NAME(softmax_tile)(b, 3, rounded);
    }
}

static int FOV_NAME(activation_softmax_tile)(fov_block *b) { return FOV_NAME(softmax_tile_of)(b, 0); }
#if FOV_REAL_BITS == 32 && defined(VF32_TOP_HALF)
static int FOV_NAME(activation_softmax_tile_rounded)(fov_block *b) { return FOV_NAME(softmax_tile_of)(b, 1); }
#undef FOV_SOFTMAX_ROUNDED
#define FOV_SOFTMAX_ROUNDED FOV_NAME(activation_softmax_tile_rounded)
#else
#undef FOV_SOFTMAX_ROUNDED
#define FOV_SOFTMAX_ROUNDED NULL
#endif

/* 1 / sum, an empty row 0. With a sink s the whole is 2^(m c - top) sum + 2^(s log2(e) - top), top the larger exponent. */
static void FOV_NAME(activation_softmax_finish)(fov_block *b, const double *sinks)
{
    const vr c = FOV_NAME(softmax_factor)(b);
    real *sum = b->row_sum;
    for (int i = 0; i < b->n_lanes; i += VR_LANES) {
        vr whole = FOV_NAME(share_sum)(vr_load(sum + i), b->key_lanes), own = vr_set1(1);
        vr_store(sum + i, whole);
        if (sinks) {
            real lane[VR_LANES];
            for (int j = 0; j < VR_LANES; j++) {
                int row = (i + j) / b->key_lanes;
                lane[j] = row < b->n_rows ? (real)(sinks[row] * 1.4426950408889634) : -(real)INFINITY;
            }
            vr sink = vr_load(lane), max = vr_mul(vr_load((const real *)b->row_max + i), c);
            vr top = FOV_NAME(softmax_base)(vr_max(max, sink));
            own = FOV_NAME(exp2)(vr_sub(max, top));
            whole = vr_fma(whole, own, FOV_NAME(exp2)(vr_sub(sink, top)));
        }
        vr factor = vr_select(vr_eq(whole, vr_zero()), vr_zero(), vr_div(own, whole));
        vr_store((real *)b->row_factor + i, factor);
    }
}

static void FOV_NAME(activation_softmax_weights)(fov_block *b)
{
    const vr c = FOV_NAME(softmax_factor)(b), none = vr_set1(-(real)INFINITY);
    for (int i = 0; i < b->n_lanes; i += VR_LANES) {
        vr base = FOV_NAME(softmax_base)(vr_load((const real *)b->row_max + i)),
           factor = vr_load((const real *)b->row_factor + i);
        for (int k = 0; k < b->n_steps; k++) {
            real *p = (real *)b->tile + (int64_t)k * b->n_lanes + i;
            vr x = vr_load(p), w = vr_mul(FOV_NAME(exp2)(vr_mul(vr_sub(x, base), c)), factor);
            vr_store(p, vr_select(vr_eq(x, none), vr_zero(), w)); /* masked: 0 even in a row that is NaN */
        }
    }
}

static void FOV_NAME(activation_softmax_merge)(fov_block *into, fov_block *from)
{
    const vr c = FOV_NAME(softmax_factor)(into);
    for (int i = 0; i < into->n_lanes; i += VR_LANES) {
        vr a = vr_load((real *)into->row_max + i), b = vr_load((real *)from->row_max + i);
        vr max = vr_max(a, b), base = FOV_NAME(softmax_base)(max);
        vr fa = FOV_NAME(exp2)(vr_mul(vr_sub(a, base), c)), fb = FOV_NAME(exp2)(vr_mul(vr_sub(b, base), c));
        vr sum = vr_fma(vr_load((real *)into->row_sum + i), fa, vr_mul(vr_load((real *)from->row_sum + i), fb));
        vr_store((real *)into->row_max + i, max);
        vr_store((real *)into->row_sum + i, sum);
        vr_store((real *)into->row_factor + i, fa);
        vr_store((real *)from->row_factor + i, fb);
    }
}

/* row_max multiplier + log row_sum, joined with the sink, in double; -inf for an empty row. */
static void FOV_NAME(activation_softmax_lse)(const fov_block *b, const double *sinks, double *lse)
{
    for (int row = 0; row < b->n_rows; row++) {
        double max = ((const real *)b->row_max)[row * b->key_lanes], sum = ((const real *)b->row_sum)[row * b->key_lanes];
        double own = sum == 0 ? -(double)INFINITY : max * b->multiplier + log(sum), sink = sinks ? sinks[row] : -(double)INFINITY;
        double top = own > sink ? own : sink, base = top == -(double)INFINITY ? 0 : top;
        lse[row] = sink == -(double)INFINITY ? own : base + log(exp(own - base) + exp(sink - base));
    }
}

#undef FOV_STALE_LIMIT

/* softmax1 is softmax with a sink of 0 in every row (Miller 2023). */
#define FOV_SOFTMAX_FUNCTIONS                                                                                                    \
    .has_lse = 1, .init = FOV_NAME(activation_softmax_init), .tile = FOV_NAME(activation_softmax_tile),                          \
    .tile_rounded = FOV_SOFTMAX_ROUNDED, .finish = FOV_NAME(activation_softmax_finish),                                          \
    .weights = FOV_NAME(activation_softmax_weights), .merge = FOV_NAME(activation_softmax_merge),                                \
    .lse = FOV_NAME(activation_softmax_lse)
#define FOV_ACTIVATION_ENTRY_softmax {.takes_sinks = 1, FOV_SOFTMAX_FUNCTIONS}
#define FOV_ACTIVATION_ENTRY_softmax1 {.extra_logit = 1, FOV_SOFTMAX_FUNCTIONS}
