/* Score additive: logit = sum_d v_d tanh(q_d + k_d) (Bahdanau, Cho, Bengio 2015). reference.py: SCORES["additive"].
 *
 * tanh(q + k) = 1 - 2 r, r = 1 / (1 + A B), A = e^(2q), B = e^(2k): the exponentials are taken once per row, and a term costs a
 * multiply-add, a share of a reciprocal and a multiply-add. Eight terms share one reciprocal over their common denominator where
 * the product of the eight 1 + A B stays finite; beyond that each has its own; beyond the range of A and B, and for NaN, tanh
 * itself is called. The choice is made per key, from its reach and the largest reach of the query block. Measured on one core,
 * D = 64, G tanh/s: 20.4 with eight, 23.1 where v is 1, 17.8 with four, 9.4 with one, 0.4 of tanh. */
#define FOV_SHARED 8 /* terms */
#if FOV_REAL_BITS == 64
#define FOV_SHARED_REACH 314.0 /* log2 of the product <= 8 + 2 log2(e) reach = 914, and |v| and 8 terms more stay finite */
#define FOV_SHARED_V 0x1p100   /* of |v|, which stands in the numerator */
#define FOV_CODED_REACH 175.0  /* of |q| and of |k|: e^(4 175) is finite and above 2^-1022 */
#else
#define FOV_SHARED_REACH 34.5f /* 2^107.6 */
#define FOV_SHARED_V 0x1p16f
#define FOV_CODED_REACH 21.5f
#endif

/* The reach of a row: at least the sum of the positive elements of any group that shares a reciprocal, since log2(1 + e^(2x)) <=
 * 1 + 2 log2(e) max(x, 0). A group is FOV_SHARED neighbours, or (additive_pair) four elements a vector apart. The largest elements
 * of each lane bound all groups at once; only a row that may lie beyond is summed group by group. */
FOV_INLINE real FOV_NAME(additive_reach)(const real *x, int64_t dim, vr largest)
{
    enum { LANES = FOV_SHARED < VR_LANES ? FOV_SHARED : VR_LANES };
    real lane[VR_LANES], sums = 0, largest_lane = 0, reach = 0;
    vr_store(lane, largest);
    for (int first = 0; first < VR_LANES; first += LANES) {
        real sum = 0;
        for (int i = first; i < first + LANES; i++) {
            sum += lane[i];
            largest_lane = lane[i] > largest_lane ? lane[i] : largest_lane;
        }
        sums = sum > sums ? sum : sums;
    }
    sums *= FOV_SHARED / LANES;
    if (sums < 4 * largest_lane) sums = 4 * largest_lane;
    if (sums <= FOV_SHARED_REACH / 2) return sums;
    for (int64_t d = 0; d < dim; d += FOV_SHARED) {
        real sum = 0;
        for (int64_t i = d; i < dim && i < d + FOV_SHARED; i++) sum += x[i] > 0 ? x[i] : 0;
        reach = sum > reach ? sum : reach;
    }
    for (int64_t first = 0; first + 4 * VR_LANES <= dim; first += 4 * VR_LANES)
        for (int64_t d = first; d < first + VR_LANES; d++) {
            real sum = 0;
            for (int64_t i = d; i < first + 4 * VR_LANES; i += VR_LANES) sum += x[i] > 0 ? x[i] : 0;
            reach = sum > reach ? sum : reach;
        }
    return reach;
}

/* e^(2x) of every element, the argument of exp2 with its rounding made good, and the reach of every row: inf where some |x| is
 * beyond FOV_CODED_REACH, and for NaN. */
static void FOV_NAME(score_additive_encode)(const void *rows, int64_t ld, int64_t n_rows, int64_t dim, void *code, void *reach)
{
    const double c = 2.8853900817779268; /* 2 log2(e) */
    const real high = (real)c;
    const vr factor = vr_set1(high), limit = vr_set1(FOV_CODED_REACH), zero = vr_zero();
    const vr low = vr_set1(FOV_REAL_BITS == 64 ? (real)4.0710547481862066e-17 : (real)(c - (double)high)),
             ln2 = vr_set1((real)0.69314718055994531);
    for (int64_t r = 0; r < n_rows; r++) {
        const real *x = (const real *)rows + r * ld;
        real *out = (real *)code + r * dim;
        vr largest = zero;
        vm beyond = vr_gt(zero, zero);
        for (int64_t d = 0; d < dim; d += VR_LANES) {
            int64_t n = dim - d < VR_LANES ? dim - d : VR_LANES;
            vr v = n < VR_LANES ? vr_load_n(x + d, n) : vr_load(x + d);
            vr y = vr_mul(v, factor), rest = vr_fma(v, low, vr_mul_error(v, factor, y));
            vr e = FOV_NAME(exp2)(y);
            e = vr_fma(e, vr_mul(rest, ln2), e);
            if (n < VR_LANES) vr_store_n(out + d, e, n);
            else vr_store(out + d, e);
            beyond = vr_m_or(beyond, vr_m_or(vr_above(v, limit), vr_above(vr_sub(zero, v), limit)));
            largest = vr_max(v, largest);
        }
        ((real *)reach)[r] = vr_any(beyond) ? (real)INFINITY : FOV_NAME(additive_reach)(x, dim, largest);
    }
}

enum { FOV_NAME(additive_tanh), FOV_NAME(additive_single), FOV_NAME(additive_shared), FOV_NAME(additive_bare) };

/* Of two reaches; `shares` is the path of those within FOV_SHARED_REACH. */
FOV_INLINE int FOV_NAME(additive_path)(real q, real k, int shares)
{
    if (!(q + k < (real)INFINITY)) return FOV_NAME(additive_tanh);
    return q + k <= FOV_SHARED_REACH ? shares : FOV_NAME(additive_single);
}

/* Shared reciprocals without v where it is all ones, and none where some v is too large for them. */
FOV_INLINE int FOV_NAME(additive_shares)(const fov_block *b)
{
    const real *v = b->score_v;
    int ones = 1;
    for (int64_t d = 0; d < b->head_dim; d++) {
        if (!(v[d] <= FOV_SHARED_V && v[d] >= -FOV_SHARED_V)) return FOV_NAME(additive_single);
        ones &= v[d] == 1;
    }
    return ones ? FOV_NAME(additive_bare) : FOV_NAME(additive_shared);
}

/* sum += v / (1 + a b) */
FOV_INLINE vr FOV_NAME(additive_term)(vr a, vr b, vr v, vr sum)
{
    return vr_fma(v, vr_small_reciprocal(vr_fma(a, b, vr_set1(1))), sum);
}

/* Terms over a common denominator: above / below. */
typedef struct FOV_NAME(additive_quotient) {
    vr above, below;
} FOV_NAME(additive_quotient);

/* x / m + y / n = (x n + y m) / (m n) */
FOV_INLINE FOV_NAME(additive_quotient) FOV_NAME(additive_join)(FOV_NAME(additive_quotient) x, FOV_NAME(additive_quotient) y)
{
    vr above = vr_fma(x.above, y.below, vr_mul(y.above, x.below));
    return (FOV_NAME(additive_quotient)){above, vr_mul(x.below, y.below)};
}

/* v_0 / (1 + a_0 b_0) + v_1 / (1 + a_1 b_1) */
FOV_INLINE FOV_NAME(additive_quotient) FOV_NAME(additive_two)(const vr *a, const vr *b, const vr *v, const int path)
{
    const vr one = vr_set1(1);
    vr x = vr_fma(a[0], b[0], one), y = vr_fma(a[1], b[1], one);
    vr above = path == FOV_NAME(additive_bare) ? vr_add(x, y) : vr_fma(v[0], y, vr_mul(v[1], x));
    return (FOV_NAME(additive_quotient)){above, vr_mul(x, y)};
}

FOV_INLINE FOV_NAME(additive_quotient) FOV_NAME(additive_four)(const vr *a, const vr *b, const vr *v, const int path)
{
    return FOV_NAME(additive_join)(FOV_NAME(additive_two)(a, b, v, path), FOV_NAME(additive_two)(a + 2, b + 2, v + 2, path));
}

FOV_INLINE vr FOV_NAME(additive_divided)(FOV_NAME(additive_quotient) x, vr sum)
{
    return vr_fma(x.above, vr_small_reciprocal(x.below), sum);
}

FOV_INLINE real FOV_NAME(additive_whole)(const fov_block *b)
{
    double whole = 0;
    for (int64_t d = 0; d < b->head_dim; d++) whole += (double)((const real *)b->score_v)[d];
    return (real)whole;
}

/* lanes: some keys against one vector of queries, all on one path. */
FOV_INLINE void FOV_NAME(additive_keys)(const fov_block *b, int key, const int n_keys, const int path, real whole, int lane)
{
    const int n_lanes = b->n_lanes, shares = path == FOV_NAME(additive_shared) || path == FOV_NAME(additive_bare);
    const int64_t dim = b->head_dim, ld = path == FOV_NAME(additive_tanh) ? b->key_ld : dim;
    const real *v = b->score_v;
    const real *query = (const real *)(path == FOV_NAME(additive_tanh) ? b->query : b->query_code) + lane;
    const real *keys = (const real *)(path == FOV_NAME(additive_tanh) ? b->key : b->key_code) + key * ld;
    vr sum[4];
    int64_t d = 0;
#pragma GCC unroll 4
    for (int k = 0; k < n_keys; k++) sum[k] = vr_zero();
    for (; shares && d + FOV_SHARED <= dim; d += FOV_SHARED) {
        vr a[FOV_SHARED], w[FOV_SHARED];
#pragma GCC unroll 8
        for (int i = 0; i < FOV_SHARED; i++) {
            a[i] = vr_load(query + (d + i) * n_lanes);
            w[i] = vr_set1(v[d + i]);
        }
#pragma GCC unroll 4
        for (int k = 0; k < n_keys; k++) {
            const real *x = keys + k * ld + d;
            vr c[FOV_SHARED] = {vr_set1(x[0]), vr_set1(x[1]), vr_set1(x[2]), vr_set1(x[3]),
                                vr_set1(x[4]), vr_set1(x[5]), vr_set1(x[6]), vr_set1(x[7])};
            sum[k] = FOV_NAME(additive_divided)(FOV_NAME(additive_join)(FOV_NAME(additive_four)(a, c, w, path),
                                                                        FOV_NAME(additive_four)(a + 4, c + 4, w + 4, path)),
                                                sum[k]);
        }
    }
    for (; d < dim; d++) {
        vr w = vr_set1(v[d]), a = vr_load(query + d * n_lanes);
#pragma GCC unroll 4
        for (int k = 0; k < n_keys; k++) {
            vr c = vr_set1(keys[k * ld + d]);
            sum[k] = path == FOV_NAME(additive_tanh) ? vr_fma(w, FOV_NAME(tanh)(vr_add(a, c)), sum[k])
                                                     : FOV_NAME(additive_term)(a, c, w, sum[k]);
        }
    }
#pragma GCC unroll 4
    for (int k = 0; k < n_keys; k++)
        vr_store((real *)b->tile + (int64_t)(key + k) * n_lanes + lane,
                 path == FOV_NAME(additive_tanh) ? sum[k] : vr_fma(vr_set1(-2), sum[k], vr_set1(whole)));
}

/* One key, or FOV_ADDITIVE_KEYS that share the loads of the queries' codes. */
#define FOV_ADDITIVE_LANES(path)                                                                                                 \
    static void FOV_NAME(additive_##path##_lanes)(const fov_block *b, int key, int n_keys, real whole)                           \
    {                                                                                                                            \
        for (int j = 0; j < b->n_lanes; j += VR_LANES)                                                                           \
            if (n_keys == 1) FOV_NAME(additive_keys)(b, key, 1, FOV_NAME(additive_##path), whole, j);                            \
            else FOV_NAME(additive_keys)(b, key, FOV_ADDITIVE_KEYS, FOV_NAME(additive_##path), whole, j);                        \
    }
FOV_ADDITIVE_LANES(tanh)
FOV_ADDITIVE_LANES(single)
FOV_ADDITIVE_LANES(shared)
FOV_ADDITIVE_LANES(bare)
#undef FOV_ADDITIVE_LANES

static void FOV_NAME(score_additive_lanes)(fov_block *b)
{
    static void (*const paths[])(const fov_block *, int, int, real) = {
        [FOV_NAME(additive_tanh)] = FOV_NAME(additive_tanh_lanes),
        [FOV_NAME(additive_single)] = FOV_NAME(additive_single_lanes),
        [FOV_NAME(additive_shared)] = FOV_NAME(additive_shared_lanes),
        [FOV_NAME(additive_bare)] = FOV_NAME(additive_bare_lanes),
    };
    const real *reach = b->key_reach, *query_reach = b->query_reach;
    const real whole = FOV_NAME(additive_whole)(b);
    const int shares = FOV_NAME(additive_shares)(b);
    real q = 0;
    for (int i = 0; i < b->n_rows; i++) q = query_reach[i] > q ? query_reach[i] : q;
    for (int k = 0, n; k < b->n_keys; k += n) {
        int path = FOV_NAME(additive_path)(q, reach[k], shares);
        for (n = 1; n < FOV_ADDITIVE_KEYS && k + n < b->n_keys; n++)
            if (FOV_NAME(additive_path)(q, reach[k + n], shares) != path) break;
        if (n < FOV_ADDITIVE_KEYS) n = 1;
        paths[path](b, k, n, whole);
    }
}

/* rows: vectors run along head_dim, one row and one key at a time; elements that pad a vector have v = 0. */
FOV_INLINE real FOV_NAME(additive_pair)(const fov_block *b, int key, int row, const int path)
{
    const int shares = path == FOV_NAME(additive_shared) || path == FOV_NAME(additive_bare);
    const int64_t dim = b->head_dim, ld = path == FOV_NAME(additive_tanh) ? b->key_ld : dim;
    const real *v = b->score_v;
    const real *x = (const real *)(path == FOV_NAME(additive_tanh) ? b->key : b->key_code) + key * ld;
    const real *y = (const real *)(path == FOV_NAME(additive_tanh) ? b->query : b->query_code) + row * dim;
    vr sum = vr_zero();
    int64_t d = 0;
    for (; shares && d + 4 * VR_LANES <= dim; d += 4 * VR_LANES) {
        vr a[4], c[4], w[4];
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            a[i] = vr_load(y + d + i * VR_LANES);
            c[i] = vr_load(x + d + i * VR_LANES);
            w[i] = vr_load(v + d + i * VR_LANES);
        }
        sum = FOV_NAME(additive_divided)(FOV_NAME(additive_four)(a, c, w, path), sum);
    }
    for (; d < dim; d += VR_LANES) {
        int64_t n = dim - d < VR_LANES ? dim - d : VR_LANES;
        vr a = vr_load_n(y + d, n), c = vr_load_n(x + d, n), w = vr_load_n(v + d, n);
        sum = path == FOV_NAME(additive_tanh) ? vr_fma(w, FOV_NAME(tanh)(vr_add(a, c)), sum)
                                              : FOV_NAME(additive_term)(a, c, w, sum);
    }
    return vr_hsum(sum);
}

static void FOV_NAME(score_additive_rows)(fov_block *b)
{
    const int kl = b->key_lanes, shares = FOV_NAME(additive_shares)(b);
    const real whole = FOV_NAME(additive_whole)(b);
    real *tile = b->tile;
    memset(tile, 0, sizeof(real) * (size_t)b->n_steps * (size_t)b->n_lanes);
    for (int k = 0; k < b->n_keys; k++)
        for (int r = 0; r < b->n_rows; r++) {
            real *out = tile + (int64_t)(k / kl) * b->n_lanes + r * kl + k % kl;
            switch (FOV_NAME(additive_path)(((const real *)b->query_reach)[r], ((const real *)b->key_reach)[k], shares)) {
            case FOV_NAME(additive_tanh): *out = FOV_NAME(additive_pair)(b, k, r, FOV_NAME(additive_tanh)); break;
            case FOV_NAME(additive_single): *out = whole - 2 * FOV_NAME(additive_pair)(b, k, r, FOV_NAME(additive_single)); break;
            case FOV_NAME(additive_shared): *out = whole - 2 * FOV_NAME(additive_pair)(b, k, r, FOV_NAME(additive_shared)); break;
            default: *out = whole - 2 * FOV_NAME(additive_pair)(b, k, r, FOV_NAME(additive_bare));
            }
        }
}

#undef FOV_SHARED
#undef FOV_SHARED_REACH
#undef FOV_SHARED_V
#undef FOV_CODED_REACH

#define FOV_SCORE_ENTRY_additive                                                                                                 \
    {.lanes = FOV_NAME(score_additive_lanes), .rows = FOV_NAME(score_additive_rows), .encode = FOV_NAME(score_additive_encode)}
