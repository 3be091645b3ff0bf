/* What is NaN or infinite, beside the tile products that have zeros for it: single keys, lanes and weights by multiply-adds, so that no
 * bit changes elsewhere. */

/* After the score: the logits of keys, and of lanes of queries, that are not finite. */
static void FOV_NAME(tile_score_not_finite)(fov_block *b)
{
    const int n_lanes = b->n_lanes;
    const real *query = b->query;
    for (int i = 0; i < n_lanes; i += VR_LANES) {
        vr probe = vr_zero();
        for (int64_t d = 0; d < b->head_dim; d++) probe = vr_fma(vr_load(query + d * n_lanes + i), vr_zero(), probe);
        const vm lanes = vr_above(probe, vr_zero());
        for (int k = 0; k < b->n_keys; k++) {
            const real *key = (const real *)b->key + k * b->key_ld;
            real of_key = 0;
            for (int64_t d = 0; d < b->head_dim; d++) of_key += key[d] * 0;
            const vm wrong = vr_m_or(lanes, vr_above(vr_set1(of_key), vr_zero()));
            if (!vr_any(wrong)) continue;
            vr sum = vr_zero();
            for (int64_t d = 0; d < b->head_dim; d++) sum = vr_fma(vr_set1(key[d]), vr_load(query + d * n_lanes + i), sum);
            real *logits = (real *)b->tile + (int64_t)k * n_lanes + i;
            vr_store(logits, vr_select(wrong, sum, vr_load(logits)));
        }
    }
}

/* Before the sum: what values that are not finite do to the rows that attend their keys. */
static void FOV_NAME(tile_add_not_finite)(fov_block *b, const uint32_t *attend)
{
    const int n_lanes = b->n_lanes;
    for (int k = 0; k < b->n_keys; k++) {
        const real *v = (const real *)b->value + k * b->value_ld;
        for (int64_t c = 0; c < b->value_dim; c++) {
            if (v[c] - v[c] == 0) continue;
            for (int i = 0; i < n_lanes; i += VR_LANES) {
                vm m = vr_bits(attend + (int64_t)(k / 32) * n_lanes + i, k % 32);
                real *out = (real *)b->accumulators + c * n_lanes + i;
                vr sum = vr_load(out), w = vr_load((const real *)b->tile + (int64_t)k * n_lanes + i);
                vr_store(out, vr_select(m, vr_fma(vr_set1(v[c]), w, sum), sum));
            }
        }
    }
}

/* The same in the orientation rows. */
static void FOV_NAME(tile_add_not_finite_rows)(fov_block *b, const uint32_t *attend)
{
    for (int k = 0; k < b->n_keys; k++) {
        const real *v = (const real *)b->value + k * b->value_ld, *w = (const real *)b->tile + (int64_t)k * b->n_lanes;
        const uint32_t *words = attend + (int64_t)(k / 32) * b->n_lanes;
        for (int64_t c = 0; c < b->value_dim; c++)
            for (int r = 0; v[c] - v[c] != 0 && r < b->n_rows; r++)
                if (words[r] >> (k % 32) & 1u) ((real *)b->accumulators)[r * b->value_dim + c] += v[c] * w[r];
    }
}

/* Weights of one key in several planes: those that are not finite meet its values here, and leave 0. Where a value is not finite either their
 * product was added once before: it is NaN or infinite and stays so. */
FOV_INLINE vr FOV_NAME(tile_take_not_finite)(const fov_block *b, int64_t k, int64_t lane, vr w)
{
    const vm wrong = vr_above(vr_sub(w, w), vr_zero());
    if (!vr_any(wrong)) return w;
    const real *v = (const real *)b->value + k * b->value_ld;
    for (int64_t c = 0; c < b->value_dim; c++) {
        real *out = (real *)b->accumulators + c * b->n_lanes + lane;
        vr_store(out, vr_select(wrong, vr_fma(vr_set1(v[c]), w, vr_load(out)), vr_load(out)));
    }
    return vr_select(wrong, vr_zero(), w);
}
