/* The modifiers: passes over a tile of logits between score and activation, in the order of the definition. Each that computes
 * folds the pending multiplier of the block in and leaves 1. reference.py: logits(). */

/* A multiplier beyond the largest real goes in parts of 2^100: 0 stays 0 and tiny scores come out finite. */
static void FOV_NAME(modify_scale)(fov_block *b)
{
    const int64_t n = (int64_t)b->n_steps * b->n_lanes;
    real *tile = b->tile;
    for (double rest = b->multiplier, part; rest != 1; rest /= part) {
        part = rest;
        if (!(fabs(rest) <= (FOV_REAL_BITS == 64 ? DBL_MAX : FLT_MAX))) part = 0x1p100;
        const vr c = vr_set1((real)part);
        for (int64_t i = 0; i < n; i += VR_LANES) vr_store(tile + i, vr_mul(vr_load(tile + i), c));
        if (part == 0) break;
    }
    b->multiplier = 1;
}

static void FOV_NAME(modify_softcap)(fov_block *b, double cap)
{
    const double most = FOV_REAL_BITS == 64 ? DBL_MAX : FLT_MAX, in = b->multiplier / cap; /* finite, or 0 would become NaN */
    const vr c = vr_set1((real)(in < most ? in : most)), back = vr_set1((real)cap);
    const int64_t n = (int64_t)b->n_steps * b->n_lanes;
    real *tile = b->tile;
    for (int64_t i = 0; i < n; i += VR_LANES) vr_store(tile + i, vr_mul(back, FOV_NAME(tanh)(vr_mul(vr_load(tile + i), c))));
    b->multiplier = 1;
}

/* distance is that of the first key of the tile; integers under 2^24 (2^53) are exact. */
static void FOV_NAME(modify_alibi)(fov_block *b, const double *slopes, const double *distance)
{
    const vr c = vr_set1((real)b->multiplier);
    real farther[FOV_MAX_TILE_KEYS]; /* a conversion and a broadcast per vector would take as long as the rest */
    for (int k = 0; k < b->n_steps; k++) farther[k] = (real)(k * b->key_lanes);
    for (int i = 0; i < b->n_lanes; i += VR_LANES) {
        real slope_of[VR_LANES], first_of[VR_LANES];
        for (int j = 0; j < VR_LANES; j++) {
            slope_of[j] = (real)slopes[i + j];
            first_of[j] = (real)distance[i + j];
        }
        vr slope = vr_load(slope_of), first = vr_load(first_of);
        real *p = (real *)b->tile + i;
        for (int k = 0; k < b->n_steps; k++, p += b->n_lanes)
            vr_store(p, vr_fma(vr_load(p), c, vr_mul(slope, vr_add(first, vr_set1(farther[k])))));
    }
    b->multiplier = 1;
}

FOV_INLINE void FOV_NAME(mask_vectors)(fov_block *b, const uint32_t *attend, const int n_vectors)
{
    const vr none = vr_set1(-(real)INFINITY);
    real *p = b->tile;
    for (int k = 0; k < b->n_steps; k++) {
        const uint32_t *words = attend + (int64_t)(k / 32) * n_vectors * VR_LANES;
#pragma GCC unroll 3
        for (int j = 0; j < n_vectors; j++, p += VR_LANES)
            vr_store(p, vr_select(vr_bits(words + j * VR_LANES, k % 32), vr_load(p), none));
    }
}

static void FOV_NAME(modify_mask)(fov_block *b, const uint32_t *attend)
{
    switch (b->n_lanes / VR_LANES) {
    case 1: FOV_NAME(mask_vectors)(b, attend, 1); break;
    case 2: FOV_NAME(mask_vectors)(b, attend, 2); break;
    default: FOV_NAME(mask_vectors)(b, attend, 3);
    }
}

static int FOV_NAME(modify_any_masked)(const fov_block *b)
{
    const vr none = vr_set1(-(real)INFINITY);
    const real *tile = b->tile;
    const int64_t n = (int64_t)b->n_steps * b->n_lanes;
    vm found = vr_eq(vr_zero(), none);
    for (int64_t i = 0; i < n; i += VR_LANES) found = vr_m_or(found, vr_eq(vr_load(tile + i), none));
    return vr_any(found);
}

/* The total of one step over all lanes, where they are rows of one head; 0: some weight is NaN, look at each. */
FOV_INLINE int FOV_NAME(totals_of_step)(const real *w, int n_lanes, int is_max, double *total)
{
    vr all = vr_load(w), odd = vr_sub(all, all);
    for (int i = VR_LANES; i < n_lanes; i += VR_LANES) {
        vr x = vr_load(w + i);
        all = is_max ? vr_max(x, all) : vr_add(x, all);
        odd = vr_add(odd, vr_sub(x, x));
    }
    if (!is_max) {
        *total += (double)vr_hsum(all);
        return 1;
    }
    if (vr_hsum(odd) != 0) return 0;
    real lane[VR_LANES], largest;
    vr_store(lane, all);
    largest = lane[0];
    for (int i = 1; i < VR_LANES; i++) largest = lane[i] > largest ? lane[i] : largest;
    *total = (double)largest > *total ? (double)largest : *total; /* a total that is NaN stays NaN */
    return 1;
}

/* Totals of final weights. One head is a reduction of vectors, several take their lanes in turn. */
static void FOV_NAME(modify_totals)(const fov_block *b, int first_head, int group_size, int is_max, double *totals,
                                    int64_t stride)
{
    const int kl = b->key_lanes, together = group_size == 1 && kl == 1 && b->n_rows == b->n_lanes;
    for (int s = 0; s < b->n_steps; s++) {
        const real *w = (const real *)b->tile + (int64_t)s * b->n_lanes;
        if (together && FOV_NAME(totals_of_step)(w, b->n_lanes, is_max, &totals[s])) continue;
        for (int i = 0, head = first_head; i < b->n_rows * kl; i++) {
            int key = s * kl + i % kl;
            double *total = totals + head * stride + key, x = (double)w[i];
            if (key < b->n_keys) *total = !is_max ? *total + x : x > *total || x != x ? x : *total;
            if (i % kl == kl - 1) head = head + 1 == group_size ? 0 : head + 1;
        }
    }
}

static void FOV_NAME(modify_differ)(const fov_block *b, double excluded, uint32_t *attend)
{
    const real *tile = b->tile;
    for (int s = 0; s < b->n_steps; s++)
        for (int i = 0; i < b->n_lanes; i++) {
            uint32_t *word = attend + (int64_t)(s / 32) * b->n_lanes + i, bit = 1u << (s % 32);
            if (s % 32 == 0) *word = 0;
            if (tile[(int64_t)s * b->n_lanes + i] != (real)excluded) *word |= bit;
        }
}
