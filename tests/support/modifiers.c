/* Score modifiers and tile masks for tests/api/test_modifier*.py. */
#include <math.h>

#include "foveate/foveate.h"

static double load(const fov_logits_tile *t, int64_t at)
{
    return t->dtype == FOV_F64 ? ((const double *)t->logits)[at] : ((const float *)t->logits)[at];
}

static void store(const fov_logits_tile *t, int64_t at, double x)
{
    if (t->dtype == FOV_F64) ((double *)t->logits)[at] = x;
    else ((float *)t->logits)[at] = (float)x;
}

#define EACH(t, i, j, at)                                                                                                        \
    for (int64_t i = 0; i < t->n_queries; i++)                                                                                   \
        for (int64_t j = 0, at; at = i * t->query_stride + j * t->key_stride, j < t->n_keys; j++)

/* Where a logit stands instead of what it was; exact in double for sizes below 1000. */
void place(const fov_logits_tile *t, void *user)
{
    (void)user;
    EACH(t, i, j, at)
    store(t, at, ((double)(t->batch * 1000 + t->head) * 1000 + (double)(t->first_query + i)) * 1000 + (double)(t->first_key + j));
}

/* -slope |i - j|; user: one double, the slope. */
void distance(const fov_logits_tile *t, void *user)
{
    double slope = *(const double *)user;
    EACH(t, i, j, at) store(t, at, load(t, at) - slope * fabs((double)(t->first_query + i - t->first_key - j)));
}

/* Only keys at most `reach` away; user: one int64. */
void near(const fov_logits_tile *t, void *user)
{
    int64_t reach = *(const int64_t *)user;
    EACH(t, i, j, at)
    {
        int64_t apart = t->first_query + i - t->first_key - j;
        if (apart > reach || apart < -reach) store(t, at, -INFINITY);
    }
}

/* near, and counts its calls in the int64 after the reach. */
void near_counted(const fov_logits_tile *t, void *user)
{
    __atomic_fetch_add((int64_t *)user + 1, 1, __ATOMIC_RELAXED);
    near(t, user);
}

/* The tiles in which some key is at most `reach` away. */
int some_near(const fov_logits_tile *t, void *user)
{
    int64_t reach = *(const int64_t *)user, last_query = t->first_query + t->n_queries - 1,
            last_key = t->first_key + t->n_keys - 1;
    return t->first_key - last_query <= reach && t->first_query - last_key <= reach;
}
