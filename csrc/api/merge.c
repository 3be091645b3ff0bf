/* Joining two softmax states over different keys: lse = log(e^a + e^b), outputs weighted by e^(their lse - lse). The operator is
 * associative and commutative up to rounding (Dao et al. 2023, FlashDecoding; Ye et al. 2025, FlashInfer, section 2.2). */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "attention/plan.h"
#include "attention/problem.h"
#include "foveate/foveate.h"

static double load(const void *array, int64_t i, int wide)
{
    double x;
    float narrow;
    const char *at = (const char *)array + i * (wide ? 8 : 4); /* may be misaligned */
    if (wide) return memcpy(&x, at, sizeof x), x;
    return memcpy(&narrow, at, sizeof narrow), (double)narrow;
}

static void store(void *array, int64_t i, int wide, double x)
{
    float narrow = (float)x;
    if (wide) memcpy((char *)array + i * 8, &x, sizeof x);
    else memcpy((char *)array + i * 4, &narrow, sizeof narrow);
}

fov_status fov_merge(int32_t dtype, int64_t n_rows, int64_t dim, const fov_state *a, const fov_state *b, const fov_state *into)
{
    int wide = dtype == FOV_F64;
    if (dtype != FOV_F32 && dtype != FOV_F64)
        return fov_problem(FOV_ERROR_ARGUMENT, "dtype must be FOV_F32 or FOV_F64, got %d", (int)dtype);
    if (n_rows < 0 || dim < 0)
        return fov_problem(FOV_ERROR_ARGUMENT, "n_rows and dim must be >= 0, got %lld and %lld", (long long)n_rows,
                           (long long)dim);
    if (fov_product(8, fov_product(n_rows, dim)) < 0 || fov_product(8, n_rows) < 0)
        return fov_problem(FOV_ERROR_OVERFLOW, "n_rows and dim must have a product below 2^59");
    if (!a || !b || !into) return fov_problem(FOV_ERROR_ARGUMENT, "a, b and into must not be NULL");
    const fov_state *states[] = {a, b, into};
    for (int i = 0; i < 3; i++)
        if (n_rows && (!states[i]->lse || (dim && !states[i]->output)))
            return fov_problem(FOV_ERROR_ARGUMENT, "output and lse of a state must not be NULL");
    for (int64_t row = 0; row < n_rows; row++) {
        double x = load(a->lse, row, wide), y = load(b->lse, row, wide), top = x > y || x != x ? x : y;
        double base = top == -(double)INFINITY ? 0 : top, ex = exp(x - base), ey = exp(y - base), sum = ex + ey;
        for (int64_t d = 0; d < dim; d++) {
            int64_t at = row * dim + d;
            double left = ex == 0 ? 0 : ex * load(a->output, at, wide), right = ey == 0 ? 0 : ey * load(b->output, at, wide);
            store(into->output, at, wide, sum == 0 ? 0 : (left + right) / sum);
        }
        store(into->lse, row, wide, sum == 0 ? -(double)INFINITY : base + log(sum));
    }
    return FOV_OK;
}
