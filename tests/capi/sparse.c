#include "sparse.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const wide u = 0x1p-53L;

static wide largest_of(const wide *x, int64_t n)
{
    wide max = x[0];
    for (int64_t i = 1; i < n; i++) max = fmaxl(max, x[i]);
    return max;
}

/* (1 + below)^(1 / (alpha - 1)); powl of a quadruple, where long double is one, takes microseconds */
static wide power(wide below, wide alpha)
{
    if (!(below > -1)) return 0;
    return alpha == 2 ? 1 + below : alpha == 1.5L ? (1 + below) * (1 + below) : expl(log1pl(below) / (alpha - 1));
}

/* In units of d, of the two activations that look for tau itself, with g = n + 6 roundings of 2^-53 in a sum of n powers. A solver
 * stops where its computed sum is 1 or does not rise any more: the exact sum is 1 within what g roundings make of it, and of a step of
 * u. |d sum / d tau| >= 1 at the root (p sum (d - tau)^(p - 1) >= p sum (d - tau)^p = p where d - tau <= 1, p = 1 / (alpha - 1) >= 1).
 * For sparsemax, whose sums are of d and of tau, g (2 c + 1) / s, s the support and c the support at a threshold so much lower.
 * d itself rounds: 3 u. */
static wide threshold_error(const wide *d, int64_t n, wide t)
{
    wide g = (wide)(n + 6) * u, support = 0, wider = 0;
    for (int64_t i = 0; i < n; i++) {
        support += d[i] - t > -1;
        wider += d[i] - t > -1 - 2 * (wide)(n + 1) * g; /* c and s are at most n and at least 1 */
    }
    return g * (2 * wider + 1) / support + g + 6 * u;
}

/* What a solver leaves open in the sum: that of n powers, their own roundings; docs/numerics.md, "Exact zeros and selections". */
static wide sum_error(int64_t n, wide alpha)
{
    wide logs = logl((wide)n), steps = alpha < 2 ? 3 * expm1l(logs * (alpha - 1)) / (alpha - 1) : 8;
    return n * u / (1 - n * u) + (8 * logs + steps + 8) * u;
}

/* alpha <= 2: the unknown is t = tau + 1, tau measured from the largest d. */
static void weights_to_2(wide *x, int64_t n, wide alpha, wide shift, wide *error)
{
    const wide max = largest_of(x, n);
    wide low = 0, high = -expm1l((1 - alpha) * logl((wide)n)); /* where the largest alone has weight 1, and n equal ones 1 / n */
    for (int64_t i = 0; i < n; i++) x[i] = (alpha - 1) * (x[i] - max);
    for (int i = 0; i < 80; i++) {
        wide middle = (low + high) / 2, sum = 0;
        for (int64_t j = 0; j < n; j++) sum += power(x[j] - middle, alpha);
        if (sum >= 1) low = middle;
        else high = middle;
    }
    int any = alpha != 2 && alpha != 1.5L; /* the slope of the sum is 1 / (alpha - 1) or more */
    shift += any ? sum_error(n, alpha) * (alpha - 1) : threshold_error(x, n, low);
    for (int64_t i = 0; i < n; i++) {
        wide below = x[i] - low;
        x[i] = power(below, alpha);
        error[i] = fmaxl(power(below + shift, alpha) - x[i], x[i] - power(below - shift, alpha));
        if (any && x[i] > 0) error[i] += (2 * x[i] + 2) * u; /* the power, whose exponent is off by 4 u, and 1 + below */
    }
}

static int falling(const void *a, const void *b)
{
    wide x = *(const wide *)a, y = *(const wide *)b;
    return (x < y) - (x > y);
}

/* The smallest with a weight: those above it, the threshold there, have a sum below 1. */
static wide last_of_support(const wide *x, int64_t n, wide alpha)
{
    wide *sorted = malloc((size_t)n * sizeof *sorted);
    int64_t inside = 0, outside = n;
    memcpy(sorted, x, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, falling);
    while (outside - inside > 1) {
        int64_t middle = (inside + outside) / 2;
        wide sum = 0, at = sorted[middle];
        for (int64_t i = 0; i < middle; i++)
            if (sorted[i] > at) sum += powl((alpha - 1) * (sorted[i] - at), 1 / (alpha - 1));
        if (sum < 1) inside = middle;
        else outside = middle;
    }
    wide last = sorted[inside];
    free(sorted);
    return last;
}

/* (a^q + b^q)^(1 / q) */
static wide norm(wide a, wide b, wide q)
{
    wide large = fmaxl(a, b), small = fminl(a, b);
    return large > 0 ? large * powl(1 + powl(small / large, q), 1 / q) : 0;
}

/* alpha > 2: y = d - tau has its digits relative to the last of the support, whose weight is the unknown. */
static void weights_above_2(wide *x, int64_t n, wide alpha, wide shift, wide *error)
{
    const wide q = alpha - 1, last = last_of_support(x, n, alpha), in_sum = sum_error(n, alpha);
    wide low = 0, high = 1;
    for (int64_t i = 0; i < n; i++) error[i] = x[i] > last ? powl(q * (x[i] - last), 1 / q) : 0; /* w with tau at the last */
    for (int i = 0; i < 120 && low < (low + high) / 2 && (low + high) / 2 < high; i++) {
        wide middle = (low + high) / 2, sum = 0;
        for (int64_t j = 0; j < n; j++)
            if (x[j] >= last) sum += norm(error[j], middle, q);
        if (sum >= 1) high = middle;
        else low = middle;
    }
    for (int64_t i = 0; i < n; i++) {
        wide y = q * (x[i] - last) + powl(high, q), w = x[i] >= last ? norm(error[i], high, q) : 0;
        if (x[i] < last) y = fminl(y, 0);
        wide most = y + shift > 0 ? powl(y + shift, 1 / q) : 0, least = y > shift ? powl(y - shift, 1 / q) : 0;
        error[i] = shift > 0 ? fmaxl(0, fmaxl(most - w, w - least)) : 0;
        if (y + shift + in_sum * q > 0) error[i] += in_sum + 10 * w * u; /* all move the same way: none by more than the sum */
        x[i] = w;
    }
}

void sparse_weights(wide *x, int64_t n, wide alpha, wide shift, wide *error)
{
    if (alpha <= 2) weights_to_2(x, n, alpha, shift, error);
    else weights_above_2(x, n, alpha, shift, error);
    wide all = 0;
    for (int64_t i = 0; i < n; i++) all += error[i];
    for (int64_t i = 0; i < n; i++) error[i] += (x[i] + error[i]) * all / (1 - fminl(all, 0.5L));
}
