/* Weights of the few logits of a row that may get one, in double whatever the real type: logits in, weights out, in place.
 *
 * entmax: w = [(alpha - 1) x - tau]_+^(1 / (alpha - 1)), tau such that they sum to 1; sparsemax is alpha = 2. With d = (alpha - 1)
 * (x - max) <= 0 the threshold t = tau - max lies in [-1, 0), so neither loses digits to the size of the logits. The sum falls with
 * t and is convex for alpha <= 2: Newton from t = -1 rises to the root and stops where it no longer rises. reference.py:
 * ACTIVATIONS["entmax"]. */
#define FOV_SOLVER(name) FOV_PASTE(solve_##name, f64, FOV_ISA_NAME)

static double FOV_SOLVER(reach_sparsemax)(double alpha)
{
    (void)alpha;
    return 1;
}
static double FOV_SOLVER(reach_entmax15)(double alpha)
{
    (void)alpha;
    return 2;
}
static double FOV_SOLVER(reach_entmax)(double alpha) { return 1 / (alpha - 1); }
static double FOV_SOLVER(reach_topk)(double alpha)
{
    (void)alpha;
    return INFINITY;
}

FOV_INLINE vr FOV_SOLVER(tail)(const double *x, int64_t i, int64_t n, double rest)
{
    if (i + VR_LANES <= n) return vr_load(x + i);
    double lane[VR_LANES];
    for (int j = 0; j < VR_LANES; j++) lane[j] = i + j < n ? x[i + j] : rest;
    return vr_load(lane);
}

/* x -> factor (x - max) */
static void FOV_SOLVER(below_max)(double *x, int64_t n, double factor)
{
    vr m = vr_set1(x[0]);
    for (int64_t i = 0; i < n; i += VR_LANES) m = vr_max(FOV_SOLVER(tail)(x, i, n, x[0]), m);
    double lane[VR_LANES], max = x[0];
    vr_store(lane, m);
    for (int j = 0; j < VR_LANES; j++) max = lane[j] > max ? lane[j] : max;
    for (int64_t i = 0; i < n; i++) x[i] = factor * (x[i] - max);
}

/* One exact renormalisation at the end: the rounding of tau leaves the sum. */
static void FOV_SOLVER(normalise)(double *w, int64_t n)
{
    vr sum = vr_zero(), lost = vr_zero(); /* Kahan 1965: the error does not grow with n */
    for (int64_t i = 0; i < n; i += VR_LANES) {
        vr x = vr_sub(FOV_SOLVER(tail)(w, i, n, 0), lost), next = vr_add(sum, x);
        lost = vr_sub(vr_sub(next, sum), x);
        sum = next;
    }
    double whole = vr_hsum(sum);
    for (int64_t i = 0; i < n; i++) w[i] /= whole;
}

static void FOV_SOLVER(sparsemax)(double *x, int64_t n, double alpha)
{
    (void)alpha;
    FOV_SOLVER(below_max)(x, n, 1);
    double t = -1;
    for (;;) { /* Michelot 1986: the mean of the support, whose support only shrinks */
        vr sum = vr_zero(), count = vr_zero(), at = vr_set1(t);
        for (int64_t i = 0; i < n; i += VR_LANES) {
            vr d = FOV_SOLVER(tail)(x, i, n, -2);
            vm in = vr_gt(d, at);
            sum = vr_add(sum, vr_select(in, d, vr_zero()));
            count = vr_add(count, vr_select(in, vr_set1(1), vr_zero()));
        }
        double next = (vr_hsum(sum) - 1) / vr_hsum(count);
        if (!(next > t)) break;
        t = next;
    }
    for (int64_t i = 0; i < n; i++) x[i] = x[i] > t ? x[i] - t : 0;
    FOV_SOLVER(normalise)(x, n);
}

static void FOV_SOLVER(entmax15)(double *x, int64_t n, double alpha)
{
    (void)alpha;
    FOV_SOLVER(below_max)(x, n, 0.5);
    double t = -1;
    for (;;) {
        vr sum = vr_zero(), squares = vr_zero(), at = vr_set1(t);
        for (int64_t i = 0; i < n; i += VR_LANES) {
            vr u = vr_max(vr_sub(FOV_SOLVER(tail)(x, i, n, -2), at), vr_zero());
            sum = vr_add(sum, u);
            squares = vr_fma(u, u, squares);
        }
        double next = t + (vr_hsum(squares) - 1) / (2 * vr_hsum(sum));
        if (!(next > t)) break;
        t = next;
    }
    for (int64_t i = 0; i < n; i++) x[i] = x[i] > t ? (x[i] - t) * (x[i] - t) : 0;
    FOV_SOLVER(normalise)(x, n);
}

/* Any alpha: Newton kept inside a bracket, which is halved where a step leaves it (alpha > 2 is not convex). */
static void FOV_SOLVER(entmax)(double *x, int64_t n, double alpha)
{
    const double power = 1 / (alpha - 1);
    FOV_SOLVER(below_max)(x, n, alpha - 1);
    double low = -1, high = 0, t = -1;
    while (high - low > 0x1p-53) {
        double sum = 0, slope = 0;
        for (int64_t i = 0; i < n; i++)
            if (x[i] > t) {
                double w = pow(x[i] - t, power);
                sum += w;
                slope += power * w / (x[i] - t);
            }
        if (sum >= 1) low = t;
        else high = t;
        double next = t + (sum - 1) / slope;
        if (!(next > low && next < high)) next = low + (high - low) / 2;
        if (next == t || next == low || next == high) break;
        t = next;
    }
    for (int64_t i = 0; i < n; i++) x[i] = x[i] > t ? pow(x[i] - t, power) : 0;
    FOV_SOLVER(normalise)(x, n);
}

/* softmax over the whole list */
static void FOV_SOLVER(softmax)(double *x, int64_t n, double alpha)
{
    (void)alpha;
    FOV_SOLVER(below_max)(x, n, 1.4426950408889634);
    for (int64_t i = 0; i < n; i += VR_LANES) {
        vr w = FOV_NAME(exp2)(FOV_SOLVER(tail)(x, i, n, 0));
        if (i + VR_LANES <= n) vr_store(x + i, w);
        else vr_store_n(x + i, w, n - i);
    }
    FOV_SOLVER(normalise)(x, n);
}
