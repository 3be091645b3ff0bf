/* Between arrays of a storage type and contiguous reals. One body per move; the storage type is a constant argument, so each
 * instance folds to straight code. Contiguous storage goes through vectors, everything else element by element. */

FOV_INLINE real FOV_NAME(load_one)(const char *p, const int dtype)
{
    if (dtype == FOV_F64) {
        double x;
        memcpy(&x, p, 8);
        return (real)x;
    }
    if (dtype == FOV_F32) {
        float x;
        memcpy(&x, p, 4);
        return (real)x;
    }
    uint16_t h;
    memcpy(&h, p, 2);
    return (real)(dtype == FOV_F16 ? fov_f16_to_f32(h) : fov_bf16_to_f32(h));
}

FOV_INLINE void FOV_NAME(store_one)(real x, char *p, const int dtype)
{
    if (dtype == FOV_F64) {
        double y = (double)x;
        memcpy(p, &y, 8);
        return;
    }
    if (dtype == FOV_F32) {
        float y = (float)x;
        memcpy(p, &y, 4);
        return;
    }
    uint16_t h = dtype == FOV_F16 ? fov_f32_to_f16((float)x) : fov_f32_to_bf16((float)x);
    memcpy(p, &h, 2);
}

/* LANES values of a storage type as one vector of reals, where there is a way (vectorised below). */
#if FOV_REAL_BITS == 32
FOV_INLINE int vf32_loads(const int dtype) { return dtype != FOV_F64; }
FOV_INLINE vf32 vf32_load_as(const char *p, const int dtype)
{
    return dtype == FOV_F32 ? vf32_load((const float *)p) : dtype == FOV_F16 ? vf32_load_f16(p) : vf32_load_bf16(p);
}
FOV_INLINE void vf32_store_as(char *p, vf32 v, const int dtype)
{
    if (dtype == FOV_F32) vf32_store((float *)p, v);
    else if (dtype == FOV_F16) vf32_store_f16(p, v);
    else vf32_store_bf16(p, v);
}
#else
FOV_INLINE int vf64_loads(const int dtype) { return dtype == FOV_F64; }
FOV_INLINE vf64 vf64_load_as(const char *p, const int dtype)
{
    (void)dtype;
    return vf64_load((const double *)p);
}
FOV_INLINE void vf64_store_as(char *p, vf64 v, const int dtype)
{
    (void)dtype;
    vf64_store((double *)p, v);
}
#endif

FOV_INLINE int FOV_NAME(bytes_of)(const int dtype) { return dtype == FOV_F64 ? 8 : dtype == FOV_F32 ? 4 : 2; }

FOV_INLINE void FOV_NAME(row_in)(const char *source, int64_t step, int64_t n, real *reals, const int dtype)
{
    int64_t i = 0;
    if (FOV_VR(loads)(dtype) && step == FOV_NAME(bytes_of)(dtype))
#pragma GCC unroll 4
        for (; i + VR_LANES <= n; i += VR_LANES) vr_store(reals + i, FOV_VR(load_as)(source + i * step, dtype));
    for (; i < n; i++) reals[i] = FOV_NAME(load_one)(source + i * step, dtype);
}

FOV_INLINE void FOV_NAME(rows_in)(const char *source, int64_t row_bytes, int64_t step, int64_t n_rows, int64_t n_columns,
                                  real *reals, const int dtype)
{
    if (row_bytes == n_columns * step) n_columns *= n_rows, n_rows = n_rows > 0;
    for (; n_rows > 0; n_rows--, source += row_bytes, reals += n_columns) FOV_NAME(row_in)(source, step, n_columns, reals, dtype);
}

FOV_INLINE void FOV_NAME(row_out)(const real *reals, int64_t n, char *target, int64_t step, const int dtype)
{
    int64_t i = 0;
    if (FOV_VR(loads)(dtype) && step == FOV_NAME(bytes_of)(dtype))
        for (; i + VR_LANES <= n; i += VR_LANES) FOV_VR(store_as)(target + i * step, vr_load(reals + i), dtype);
    for (; i < n; i++) FOV_NAME(store_one)(reals[i], target + i * step, dtype);
}

/* LANES steps of LANES lanes. */
FOV_INLINE void FOV_NAME(load_square)(const char *const *lanes, int64_t at, vr *r, const int dtype)
{
#if FOV_REAL_BITS == 32
    if (dtype == FOV_F32) {
        vf32_load_transposed(lanes, at, r);
        return;
    }
#endif
#pragma GCC unroll 16
    for (int i = 0; i < VR_LANES; i++) r[i] = FOV_VR(load_as)(lanes[i] + at, dtype);
    vr_transpose(r);
}

/* x into the tile; where it adds: tile * c + x, and -inf masks whatever the tile holds, NaN and inf included. */
FOV_INLINE void FOV_NAME(put)(real *tile, vr x, vr c, const int adds)
{
    const vr none = vr_set1(-(real)INFINITY);
    vr_store(tile, adds ? vr_select(vr_eq(x, none), none, vr_fma(vr_load(tile), c, x)) : x);
}

#if FOV_REAL_BITS == 32
/* 2 LANES steps of LANES lanes of bf16: pairs are moved as floats are, and parted where they stand. 0.22 operations per element, not 0.375. */
FOV_INLINE void vf32_gather_add_pairs(const char *const *lanes, int64_t at, int n_lanes, float *tile, vf32 c)
{
    vf32 r[VF32_LANES];
    vf32_load_transposed(lanes, at, r);
#pragma GCC unroll 16
    for (int i = 0; i < VF32_LANES; i++) {
        FOV_NAME(put)(tile + 2 * i * n_lanes, vf32_first_bf16(r[i]), c, 1);
        FOV_NAME(put)(tile + (2 * i + 1) * n_lanes, vf32_second_bf16(r[i]), c, 1);
    }
}
#endif

FOV_INLINE void FOV_NAME(gather)(const char *const *lanes, int64_t step, int64_t n_steps, int n_lanes, real *tile, real factor,
                                 const int dtype, const int adds)
{
    const vr c = vr_set1(factor);
    for (int lane0 = 0; lane0 < n_lanes; lane0 += VR_LANES) {
        int64_t s = 0;
        int all = 1;
        for (int i = 0; i < VR_LANES; i++) all &= lanes[lane0 + i] != NULL;
#if FOV_REAL_BITS == 32
        if (adds && all && dtype == FOV_BF16 && step == 2) /* as few as the queries are, they gain nothing */
            for (; s + 2 * VR_LANES <= n_steps; s += 2 * VR_LANES)
                vf32_gather_add_pairs(lanes + lane0, s * step, n_lanes, tile + s * n_lanes + lane0, c);
#endif
        if (all && FOV_VR(loads)(dtype) && step == FOV_NAME(bytes_of)(dtype))
            for (; s + VR_LANES <= n_steps; s += VR_LANES) {
                vr r[VR_LANES];
                FOV_NAME(load_square)(lanes + lane0, s * step, r, dtype);
#pragma GCC unroll 16
                for (int i = 0; i < VR_LANES; i++) FOV_NAME(put)(tile + (s + i) * n_lanes + lane0, r[i], c, adds);
            }
        for (; s < n_steps; s++) {
            real x[VR_LANES];
            for (int i = 0; i < VR_LANES; i++) {
                const char *lane = lanes[lane0 + i];
                x[i] = lane ? FOV_NAME(load_one)(lane + s * step, dtype) : 0;
            }
            FOV_NAME(put)(tile + s * n_lanes + lane0, vr_load(x), c, adds);
        }
    }
}

FOV_INLINE void FOV_NAME(scatter)(const real *tile, int64_t n_steps, int n_lanes, char *const *lanes, int64_t step,
                                  const int dtype)
{
    for (int lane0 = 0; lane0 < n_lanes; lane0 += VR_LANES) {
        int64_t s = 0;
        int all = 1;
        for (int i = 0; i < VR_LANES; i++) all &= lanes[lane0 + i] != NULL;
        if (all && FOV_VR(loads)(dtype) && step == FOV_NAME(bytes_of)(dtype))
            for (; s + VR_LANES <= n_steps; s += VR_LANES) {
                vr r[VR_LANES];
#pragma GCC unroll 16
                for (int i = 0; i < VR_LANES; i++) r[i] = vr_load(tile + (s + i) * n_lanes + lane0);
                vr_transpose(r);
#pragma GCC unroll 16
                for (int i = 0; i < VR_LANES; i++) FOV_VR(store_as)(lanes[lane0 + i] + s * step, r[i], dtype);
            }
        for (; s < n_steps; s++)
            for (int i = 0; i < VR_LANES; i++)
                if (lanes[lane0 + i]) FOV_NAME(store_one)(tile[s * n_lanes + lane0 + i], lanes[lane0 + i] + s * step, dtype);
    }
}

/* The bits of n bytes, word i at words[i * stride]; of n_words words in all. */
FOV_INLINE void FOV_NAME(pack_lane)(const char *bytes, int64_t step, int n, uint32_t *words, int n_words, int stride)
{
    int k = 0, w = 0;
    if (step == 1)
        for (; k + 32 <= n; k += 32) words[w++ * stride] = vec_nonzero32(bytes + k);
    for (; w < n_words; w++) {
        uint32_t word = 0;
        for (int bit = 0; bit < 32 && k < n; bit++, k++) word |= (uint32_t)(bytes[k * step] != 0) << bit;
        words[w * stride] = word;
    }
}

/* Rows with one lane each and whole words, as in nearly every tile of a prefill. */
FOV_INLINE void FOV_NAME(pack_words)(const char *const *rows, int n_rows, int n_words, uint32_t *words, int n_lanes)
{
    for (int row = 0; row < n_rows; row++)
        for (int w = 0; w < n_words; w++) words[w * n_lanes + row] = vec_nonzero32(rows[row] + 32 * w);
}

FOV_INLINE void FOV_NAME(pack_lanes)(const char *const *rows, int n_rows, int64_t step, int n_keys, int key_lanes,
                                     uint32_t *words, int n_words, int n_lanes)
{
    const int shift = __builtin_ctz((unsigned)key_lanes);
    for (int row = 0, lane = 0; row < n_rows; row++, lane += key_lanes) {
        if (row && rows[row] == rows[row - 1]) { /* broadcast over rows or heads: the same bits again */
            for (int w = 0; w < n_words; w++)
                for (int j = lane; j < lane + key_lanes; j++) words[w * n_lanes + j] = words[w * n_lanes + j - key_lanes];
            continue;
        }
        for (int j = 0; j < key_lanes; j++)
            FOV_NAME(pack_lane)(rows[row] + j * step, step * key_lanes, (n_keys - j + key_lanes - 1) >> shift, words + lane + j,
                                n_words, n_lanes);
    }
}

static void FOV_NAME(pack_bits)(const char *const *rows, int n_rows, int64_t step, int n_keys, int key_lanes, uint32_t *words,
                                int n_lanes)
{
    const int n_words = (n_keys + 32 * key_lanes - 1) / (32 * key_lanes);
    if (key_lanes == 1 && step == 1 && n_keys % 32 == 0) FOV_NAME(pack_words)(rows, n_rows, n_words, words, n_lanes);
    else FOV_NAME(pack_lanes)(rows, n_rows, step, n_keys, key_lanes, words, n_words, n_lanes);
    for (int w = 0; w < n_words; w++)
        for (int lane = n_rows * key_lanes; lane < n_lanes; lane++) words[w * n_lanes + lane] = 0;
}

/* x - x is 0 for finite x and NaN otherwise; the sum of those is 0 exactly when all are finite. */
static int FOV_NAME(all_finite)(const void *rows, int64_t ld, int64_t n_rows, int64_t n_columns)
{
    const vr zero = vr_zero();
    vr sum[4] = {zero, zero, zero, zero}; /* one chain of additions would take 2 % of a prefill */
    if (ld == n_columns) n_columns *= n_rows, n_rows = n_rows > 0;
    for (int64_t k = 0; k < n_rows; k++) {
        const real *p = (const real *)rows + k * ld;
        int64_t c = 0;
        for (; c + 4 * VR_LANES <= n_columns; c += 4 * VR_LANES)
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++) sum[i] = vr_fma(vr_load(p + c + i * VR_LANES), zero, sum[i]);
        for (; c < n_columns; c += VR_LANES)
            sum[0] = vr_fma(c + VR_LANES <= n_columns ? vr_load(p + c) : vr_load_n(p + c, n_columns - c), zero, sum[0]);
    }
    return vr_hsum(vr_add(vr_add(sum[0], sum[1]), vr_add(sum[2], sum[3]))) == 0;
}
