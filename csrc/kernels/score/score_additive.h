/* Score additive: logit = sum_d v_d tanh(q_d + k_d) (Bahdanau, Cho, Bengio 2015). reference.py: SCORES["additive"].
 *
 * tanh(q + k) = 1 - 2 r, r = 1 / (1 + A B), A = e^(2q), B = e^(2k): the exponentials are taken once per row, and a term costs a
 * multiply-add, a share of a reciprocal and a multiply-add. Four terms share one reciprocal over their common denominator where
 * (1 + A B)^4 stays finite; beyond that each has its own; beyond the range of A and B, and for NaN, tanh itself is called. The
 * choice is made per key, from its largest |k| and the largest |q| of the query block. Measured on one core, D = 64: 13.9 G
 * tanh/s with four, 9.4 with one, against 0.4 G of tanh. */
#if FOV_REAL_BITS == 64
#define FOV_SHARED_REACH 88.0 /* of |q| + |k|: e^(2 88) = 2^253.9, its fourth power is finite */
#define FOV_SHARED_V 0x1p250 /* of |v|: three denominators times v stay finite */
#define FOV_CODED_REACH 175.0 /* of |q| and of |k|: e^(4 175) is finite and above 2^-1022 */
#else
#define FOV_SHARED_REACH 10.8f /* e^(2 10.8) = 2^31.2 */
#define FOV_SHARED_V 0x1p30f
#define FOV_CODED_REACH 21.5f
#endif

/* e^(2x) of every element, the argument of exp2 with its rounding made good, and the largest |x| of every row (inf for NaN). */
static void FOV_NAME(score_additive_encode)(const void *rows, int64_t ld, int64_t n_rows, int64_t dim, void *code, void *reach)
{
    const double c = 2.8853900817779268; /* 2 log2(e) */
    const real high = (real)c;
    const vr factor = vr_set1(high);
    const vr low = vr_set1(FOV_REAL_BITS == 64 ? (real)4.0710547481862066e-17 : (real)(c - (double)high)),
             ln2 = vr_set1((real)0.69314718055994531);
    for (int64_t r = 0; r < n_rows; r++) {
        const real *x = (const real *)rows + r * ld;
        real *out = (real *)code + r * dim, lane[VR_LANES], largest = 0;
        vr size = vr_zero(), odd = vr_zero();
        for (int64_t d = 0; d < dim; d += VR_LANES) {
            int64_t n = dim - d < VR_LANES ? dim - d : VR_LANES;
            vr v = n < VR_LANES ? vr_load_n(x + d, n) : vr_load(x + d);
            vr y = vr_mul(v, factor), rest = vr_fma(v, low, vr_mul_error(v, factor, y));
            vr e = FOV_NAME(exp2)(y);
            e = vr_fma(e, vr_mul(rest, ln2), e);
            if (n < VR_LANES) vr_store_n(out + d, e, n);
            else vr_store(out + d, e);
            size = vr_max(vr_max(v, vr_sub(vr_zero(), v)), size);
            odd = vr_add(odd, vr_sub(v, v));
        }
        vr_store(lane, size);
        for (int i = 0; i < VR_LANES; i++) largest = lane[i] > largest ? lane[i] : largest;
        ((real *)reach)[r] = vr_hsum(odd) == 0 ? largest : (real)INFINITY;
    }
}

enum { FOV_NAME(additive_tanh), FOV_NAME(additive_single), FOV_NAME(additive_shared) };

FOV_INLINE int FOV_NAME(additive_path)(real q, real k, real shared_reach)
{
    if (!(q <= FOV_CODED_REACH && k <= FOV_CODED_REACH)) return FOV_NAME(additive_tanh);
    return q + k <= shared_reach ? FOV_NAME(additive_shared) : FOV_NAME(additive_single);
}

/* Largest |q| + |k| for shared reciprocals: none when some v is too large for them. */
FOV_INLINE real FOV_NAME(additive_shared_reach)(const fov_block *b)
{
    const real *v = b->score_v;
    for (int64_t d = 0; d < b->head_dim; d++)
        if (!(v[d] <= FOV_SHARED_V && v[d] >= -FOV_SHARED_V)) return -1;
    return FOV_SHARED_REACH;
}

/* sum += v / (1 + a b) */
FOV_INLINE vr FOV_NAME(additive_term)(vr a, vr b, vr v, vr sum)
{
    return vr_fma(v, vr_reciprocal(vr_fma(a, b, vr_set1(1))), sum);
}

/* Four terms: v0 / x0 + v1 / x1 = (v0 x1 + v1 x0) / (x0 x1), twice. */
FOV_INLINE vr FOV_NAME(additive_four)(const vr *a, const vr *b, const vr *v, vr sum)
{
    const vr one = vr_set1(1);
    vr x0 = vr_fma(a[0], b[0], one), x1 = vr_fma(a[1], b[1], one), x2 = vr_fma(a[2], b[2], one), x3 = vr_fma(a[3], b[3], one);
    vr m0 = vr_mul(x0, x1), m1 = vr_mul(x2, x3);
    vr n0 = vr_fma(v[0], x1, vr_mul(v[1], x0)), n1 = vr_fma(v[2], x3, vr_mul(v[3], x2));
    return vr_fma(vr_fma(n0, m1, vr_mul(n1, m0)), vr_reciprocal(vr_mul(m0, m1)), sum);
}

FOV_INLINE real FOV_NAME(additive_whole)(const fov_block *b)
{
    double whole = 0;
    for (int64_t d = 0; d < b->head_dim; d++) whole += (double)((const real *)b->score_v)[d];
    return (real)whole;
}

/* lanes: some keys against n_vectors vectors of queries, all on one path. */
FOV_INLINE void FOV_NAME(additive_keys)(const fov_block *b, int key, const int n_keys, const int path, real whole,
                                        const int n_vectors)
{
    const int n_lanes = n_vectors * VR_LANES;
    const int64_t dim = b->head_dim;
    const real *v = b->score_v, *query = path == FOV_NAME(additive_tanh) ? b->query : b->query_code;
    const real *keys =
        path == FOV_NAME(additive_tanh) ? (const real *)b->key + key * b->key_ld : (const real *)b->key_code + key * dim;
    const int64_t ld = path == FOV_NAME(additive_tanh) ? b->key_ld : dim;
    vr sum[4][3];
    int64_t d = 0;
#pragma GCC unroll 4
    for (int k = 0; k < n_keys; k++)
#pragma GCC unroll 3
        for (int j = 0; j < n_vectors; j++) sum[k][j] = vr_zero();
    for (; path == FOV_NAME(additive_shared) && d + 4 <= dim; d += 4) {
        vr w[4] = {vr_set1(v[d]), vr_set1(v[d + 1]), vr_set1(v[d + 2]), vr_set1(v[d + 3])};
#pragma GCC unroll 3
        for (int j = 0; j < n_vectors; j++) {
            vr a[4];
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++) a[i] = vr_load(query + (d + i) * n_lanes + j * VR_LANES);
#pragma GCC unroll 4
            for (int k = 0; k < n_keys; k++) {
                const real *x = keys + k * ld + d;
                vr c[4] = {vr_set1(x[0]), vr_set1(x[1]), vr_set1(x[2]), vr_set1(x[3])};
                sum[k][j] = FOV_NAME(additive_four)(a, c, w, sum[k][j]);
            }
        }
    }
    for (; d < dim; d++) {
        vr w = vr_set1(v[d]);
#pragma GCC unroll 3
        for (int j = 0; j < n_vectors; j++) {
            vr a = vr_load(query + d * n_lanes + j * VR_LANES);
#pragma GCC unroll 4
            for (int k = 0; k < n_keys; k++) {
                vr c = vr_set1(keys[k * ld + d]);
                sum[k][j] = path == FOV_NAME(additive_tanh) ? vr_fma(w, FOV_NAME(tanh)(vr_add(a, c)), sum[k][j])
                                                            : FOV_NAME(additive_term)(a, c, w, sum[k][j]);
            }
        }
    }
#pragma GCC unroll 4
    for (int k = 0; k < n_keys; k++)
#pragma GCC unroll 3
        for (int j = 0; j < n_vectors; j++)
            vr_store((real *)b->tile + (int64_t)(key + k) * n_lanes + j * VR_LANES,
                     path == FOV_NAME(additive_tanh) ? sum[k][j] : vr_fma(vr_set1(-2), sum[k][j], vr_set1(whole)));
}

FOV_INLINE void FOV_NAME(additive_tile)(const fov_block *b, const int n_vectors)
{
    const real *reach = b->key_reach, *query_reach = b->query_reach;
    const real whole = FOV_NAME(additive_whole)(b), shared = FOV_NAME(additive_shared_reach)(b);
    real q = 0;
    for (int i = 0; i < b->n_rows; i++) q = query_reach[i] > q ? query_reach[i] : q;
    for (int k = 0; k < b->n_keys;) {
        int path = FOV_NAME(additive_path)(q, reach[k], shared), n = 1;
        while (n < FOV_ADDITIVE_KEYS && k + n < b->n_keys && FOV_NAME(additive_path)(q, reach[k + n], shared) == path) n++;
        if (path == FOV_NAME(additive_shared) && n == FOV_ADDITIVE_KEYS)
            FOV_NAME(additive_keys)(b, k, n = FOV_ADDITIVE_KEYS, FOV_NAME(additive_shared), whole, n_vectors);
        else if (path == FOV_NAME(additive_shared))
            FOV_NAME(additive_keys)(b, k, n = 1, FOV_NAME(additive_shared), whole, n_vectors);
        else if (path == FOV_NAME(additive_single))
            FOV_NAME(additive_keys)(b, k, n = 1, FOV_NAME(additive_single), whole, n_vectors);
        else FOV_NAME(additive_keys)(b, k, n = 1, FOV_NAME(additive_tanh), whole, n_vectors);
        k += n;
    }
}

static void FOV_NAME(score_additive_lanes)(fov_block *b)
{
    switch (b->n_lanes / VR_LANES) {
    case 1: FOV_NAME(additive_tile)(b, 1); break;
    case 2: FOV_NAME(additive_tile)(b, 2); break;
    default: FOV_NAME(additive_tile)(b, 3);
    }
}

/* rows: vectors run along head_dim, one row and one key at a time; elements that pad a vector have v = 0. */
FOV_INLINE vr FOV_NAME(additive_pair)(const fov_block *b, int key, int row, const int path)
{
    const int64_t dim = b->head_dim;
    const real *v = b->score_v;
    const real *x =
        path == FOV_NAME(additive_tanh) ? (const real *)b->key + key * b->key_ld : (const real *)b->key_code + key * dim;
    const real *y = (path == FOV_NAME(additive_tanh) ? (const real *)b->query : (const real *)b->query_code) + row * dim;
    vr sum = vr_zero();
    int64_t d = 0;
    for (; path == FOV_NAME(additive_shared) && d + 4 * VR_LANES <= dim; d += 4 * VR_LANES) {
        vr a[4], c[4], w[4];
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            a[i] = vr_load(y + d + i * VR_LANES);
            c[i] = vr_load(x + d + i * VR_LANES);
            w[i] = vr_load(v + d + i * VR_LANES);
        }
        sum = FOV_NAME(additive_four)(a, c, w, sum);
    }
    for (; d < dim; d += VR_LANES) {
        int64_t n = dim - d < VR_LANES ? dim - d : VR_LANES;
        vr a = vr_load_n(y + d, n), c = vr_load_n(x + d, n), w = vr_load_n(v + d, n);
        sum = path == FOV_NAME(additive_tanh) ? vr_fma(w, FOV_NAME(tanh)(vr_add(a, c)), sum)
                                              : FOV_NAME(additive_term)(a, c, w, sum);
    }
    return sum;
}

static void FOV_NAME(score_additive_rows)(fov_block *b)
{
    const int kl = b->key_lanes;
    const real whole = FOV_NAME(additive_whole)(b), shared = FOV_NAME(additive_shared_reach)(b);
    real *tile = b->tile;
    memset(tile, 0, sizeof(real) * (size_t)b->n_steps * (size_t)b->n_lanes);
    for (int k = 0; k < b->n_keys; k++)
        for (int r = 0; r < b->n_rows; r++) {
            int path = FOV_NAME(additive_path)(((const real *)b->query_reach)[r], ((const real *)b->key_reach)[k], shared);
            real *out = tile + (int64_t)(k / kl) * b->n_lanes + r * kl + k % kl;
            if (path == FOV_NAME(additive_shared))
                *out = whole - 2 * vr_hsum(FOV_NAME(additive_pair)(b, k, r, FOV_NAME(additive_shared)));
            else if (path == FOV_NAME(additive_single))
                *out = whole - 2 * vr_hsum(FOV_NAME(additive_pair)(b, k, r, FOV_NAME(additive_single)));
            else *out = vr_hsum(FOV_NAME(additive_pair)(b, k, r, FOV_NAME(additive_tanh)));
        }
}

#undef FOV_SHARED_REACH
#undef FOV_SHARED_V
#undef FOV_CODED_REACH

#define FOV_SCORE_ENTRY_additive                                                                                                 \
    {.lanes = FOV_NAME(score_additive_lanes), .rows = FOV_NAME(score_additive_rows), .encode = FOV_NAME(score_additive_encode)}
