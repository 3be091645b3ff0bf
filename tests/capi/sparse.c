#include "sparse.h"

#include <math.h>

static wide largest_of(const wide *x, int64_t n)
{
    wide max = x[0];
    for (int64_t i = 1; i < n; i++) max = fmaxl(max, x[i]);
    return max;
}

/* a^(1 / (alpha - 1)); powl of a quadruple, where long double is one, takes microseconds */
static wide power(wide a, wide alpha) { return alpha == 2 ? a : alpha == 1.5L ? a * a : powl(a, 1 / (alpha - 1)); }

wide sparse_threshold(const wide *x, int64_t n, wide alpha)
{
    wide max = largest_of(x, n), low = -1, high = 0; /* the largest alone has weight 1 at -1, 0 at 0 */
    for (int i = 0; i < 80; i++) {
        wide middle = (low + high) / 2, sum = 0;
        for (int64_t j = 0; j < n; j++) {
            wide d = (alpha - 1) * (x[j] - max);
            if (d > middle) sum += power(d - middle, alpha);
        }
        if (sum >= 1) low = middle;
        else high = middle;
    }
    return (low + high) / 2;
}

int64_t sparse_weights(wide *x, int64_t n, wide alpha, wide shift, wide *error)
{
    const wide max = largest_of(x, n), tau = sparse_threshold(x, n, alpha);
    wide all = 0;
    int64_t uncertain = 0;
    for (int64_t i = 0; i < n; i++) {
        wide a = (alpha - 1) * (x[i] - max) - tau;
        wide w = a > 0 ? power(a, alpha) : 0, low = a > shift ? power(a - shift, alpha) : 0;
        wide high = a > -shift ? power(a + shift, alpha) : 0;
        uncertain += low == 0 && high > 0;
        x[i] = w;
        error[i] = fmaxl(high - w, w - low);
        all += error[i];
    }
    for (int64_t i = 0; i < n; i++) error[i] += (x[i] + error[i]) * all / (1 - fminl(all, 0.5L));
    return uncertain;
}

/* With g = n + 6 roundings of 2^-53 in a sum of n powers.
 *
 * A solver stops where its computed sum is 1 or does not rise any more: the exact sum is 1 within what g roundings make of it, and
 * of a step of u. |d sum / d tau| >= 1 at the root for every alpha (p sum (d - tau)^(p - 1), p = 1 / (alpha - 1): >= p sum
 * (d - tau)^p = p where d - tau <= 1, and p >= 1; for alpha > 2 >= p). So g max(1, alpha - 1) and a few u; for sparsemax, whose sums
 * are of d and of tau, g (2 c + 1) / s, s the support and c the support at a threshold so much lower. d itself rounds: 3 u. */
wide sparse_threshold_error(const wide *x, int64_t n, wide alpha)
{
    const wide u = 0x1p-53L, g = (wide)(n + 6) * u, max = largest_of(x, n), tau = sparse_threshold(x, n, alpha);
    wide support = 0, wider = 0;
    for (int64_t i = 0; i < n; i++) {
        wide d = (alpha - 1) * (x[i] - max);
        support += d > tau;
        wider += d > tau - 2 * (wide)(n + 1) * g; /* c and s are at most n and at least 1 */
    }
    return g * (2 * wider + 1) / support + g * fmaxl(1, alpha - 1) + 6 * u;
}
