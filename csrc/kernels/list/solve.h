/* Weights of the few logits of a row that may get one, in double whatever the real type: logits in, weights out, in place.
 *
 * entmax: w = [(alpha - 1) x - tau]_+^(1 / (alpha - 1)), tau such that they sum to 1; sparsemax is alpha = 2. With d = (alpha - 1)
 * (x - max) <= 0 the threshold t = tau - max lies in [-1, 0), so neither loses digits to the size of the logits. The sum falls with
 * t and is convex for alpha <= 2: Newton from t = -1 rises to the root and stops where it no longer rises. Entmax takes another unknown
 * where t has too few digits: t + 1 near alpha = 1, the smallest weight above 2. reference_stages.py. */
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

/* alpha <= 2: the unknown is t + 1, which is small where alpha is near 1, like d. */
static void FOV_SOLVER(entmax_convex)(double *x, int64_t n, double alpha)
{
    const double power = 1 / (alpha - 1);
    FOV_SOLVER(below_max)(x, n, alpha - 1);
    double t = 0;
    for (;;) {
        double sum = 0, slope = 0;
        for (int64_t i = 0; i < n; i++) {
            double below = x[i] - t; /* of 1; exact to its last digit, and so is log1p */
            if (!(below > -1)) continue;
            double w = exp(power * log1p(below));
            sum += w;
            slope += power * w / (1 + below);
        }
        double next = t + (sum - 1) / slope;
        int rises = next > t;
        t = next > 0 ? next : 0; /* the last step may lead back: from above the root it is just as good */
        if (!rises) break;
    }
    for (int64_t i = 0; i < n; i++) x[i] = x[i] - t > -1 ? exp(power * log1p(x[i] - t)) : 0;
    FOV_SOLVER(normalise)(x, n);
}

/* The weights above v add up to 1 or more if v is the threshold: it is v or higher. */
static int FOV_SOLVER(fills)(const double *x, int64_t n, double factor, double v)
{
    double sum = 0;
    for (int64_t i = 0; i < n && sum < 1; i++)
        if (x[i] > v) sum += pow(factor * (x[i] - v), 1 / factor);
    return sum >= 1;
}

/* The smallest logit with a weight. The logits between what is outside and what is inside are halved; each test decides one or more. */
static double FOV_SOLVER(last_of_support)(const double *x, int64_t n, double factor)
{
    double inside = x[0], outside = -INFINITY;
    for (int64_t i = 1; i < n; i++) inside = x[i] > inside ? x[i] : inside;
    for (int64_t i = 0; i < n; i++)
        if (factor * (inside - x[i]) >= 1 && x[i] > outside) outside = x[i];
    for (;;) {
        double low = INFINITY, high = -INFINITY, last = INFINITY;
        for (int64_t i = 0; i < n; i++) {
            if (x[i] >= inside) last = x[i] < last ? x[i] : last;
            else if (x[i] > outside) {
                low = x[i] < low ? x[i] : low;
                high = x[i] > high ? x[i] : high;
            }
        }
        if (low > high) return last;
        double v = low + (high - low) / 2;
        if (FOV_SOLVER(fills)(x, n, factor, v)) outside = v;
        else inside = v;
    }
}

/* (u^factor + c^factor)^(1 / factor), u > 0, without a power that underflows; its derivative by u. */
FOV_INLINE double FOV_SOLVER(raised)(double c, double u, double factor, double *rise)
{
    double large = c > u ? c : u, small = c > u ? u : c, ratio = pow(small / large, factor);
    double w = large * pow(1 + ratio, 1 / factor);
    *rise = (c > u ? ratio : 1) / (1 + ratio) * w / u;
    return w;
}

/* alpha > 2: powers below 1 make a weight of a distance to the threshold far below its last digit (2^-53 has 0.48 at alpha 51), so
 * the unknown is u, the weight of the last logit of the support. c is what a weight were with the threshold there; it is w =
 * (u^(alpha - 1) + c^(alpha - 1))^(1 / (alpha - 1)), a norm of (u, c): convex, it rises with u by 1 at most, and the last one by 1.
 * The sum is 1 or more at 1 / (how many): Newton falls from there. */
static void FOV_SOLVER(entmax_concave)(double *x, int64_t n, double alpha)
{
    const double factor = alpha - 1, last = FOV_SOLVER(last_of_support)(x, n, factor);
    double count = 0, rise;
    for (int64_t i = 0; i < n; i++) {
        count += x[i] >= last;
        x[i] = x[i] >= last ? pow(factor * (x[i] - last), 1 / factor) : -1;
    }
    double u = 1 / count;
    for (;;) {
        double sum = 0, slope = 0;
        for (int64_t i = 0; i < n; i++)
            if (x[i] >= 0) {
                sum += FOV_SOLVER(raised)(x[i], u, factor, &rise);
                slope += rise;
            }
        double next = u - (sum - 1) / slope;
        int falls = next < u;
        u = next > DBL_MIN ? next : DBL_MIN;
        if (!falls || u == DBL_MIN) break;
    }
    for (int64_t i = 0; i < n; i++) x[i] = x[i] >= 0 ? FOV_SOLVER(raised)(x[i], u, factor, &rise) : 0;
    FOV_SOLVER(normalise)(x, n);
}

static void FOV_SOLVER(entmax)(double *x, int64_t n, double alpha)
{
    if (alpha <= 2) FOV_SOLVER(entmax_convex)(x, n, alpha);
    else FOV_SOLVER(entmax_concave)(x, n, alpha);
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
