#include "area.h"

#include <stdlib.h>
#include <string.h>

#include "foveate/foveate.h"

enum { CANARY = 0xA5 };
static const int64_t FAR = INT64_C(1) << 40;

/* Calls visit(element, context) for each element; broadcast ones several times. */
static void each(const area *a, void (*visit)(char *element, const area *a, void *context), void *context)
{
    int64_t index[MAX_AXES] = {0};
    char *at = a->start;
    for (int axis = 0; axis < a->n_axes; axis++)
        if (a->shape[axis] == 0) return;
    for (;;) {
        visit(at, a, context);
        int axis = a->n_axes - 1;
        for (; axis >= 0 && index[axis] + 1 == a->shape[axis]; axis--) {
            at -= index[axis] ? index[axis] * a->strides[axis] : 0; /* the stride of an axis of length 1 means nothing */
            index[axis] = 0;
        }
        if (axis < 0) return;
        index[axis]++;
        at += a->strides[axis];
    }
}

/* The bytes from the lowest element to the end of the highest. */
static void allocate(area *a, size_t odd)
{
    int64_t low = 0, high = (int64_t)number_bytes(a->dtype);
    int empty = 0;
    for (int axis = 0; axis < a->n_axes; axis++) {
        empty |= a->shape[axis] == 0;
        if (a->shape[axis] < 2) continue;
        int64_t reach = (a->shape[axis] - 1) * a->strides[axis];
        *(reach < 0 ? &low : &high) += reach;
    }
    a->size = empty ? 0 : odd + (size_t)(high - low);
    a->block = malloc(a->size);
    a->before = NULL;
    a->start = empty ? a->block : a->block + odd - low;
    if (a->size) memset(a->block, CANARY, a->size);
}

void area_make(area *a, choices *in, int dtype, int n_axes, const int64_t *shape, int is_written)
{
    unsigned layout = take(in), signs = take(in), broadcast = take(in);
    int order[MAX_AXES];
    *a = (area){.dtype = dtype, .is_written = is_written, .n_axes = n_axes};
    for (int axis = 0; axis < n_axes; axis++) order[axis] = axis;
    if (layout & 1 && n_axes > 1) { /* two axes change places */
        int i = (int)(layout >> 1 & 7) % n_axes, j = (int)(layout >> 4 & 7) % n_axes, axis = order[i];
        order[i] = order[j];
        order[j] = axis;
    }
    int64_t step = (int64_t)number_bytes(dtype);
    for (int i = n_axes - 1; i >= 0; i--) {
        int axis = order[i];
        if (layout >> 7 && signs >> 6 == (unsigned)i % 4) step += 1 + (signs >> 6); /* a gap, of odd bytes */
        a->shape[axis] = shape[axis];
        a->strides[axis] = signs >> axis & 1 ? -step : step;
        if (!is_written && broadcast & 0x80 && broadcast >> axis & 1) a->strides[axis] = 0;
        else if (shape[axis]) step *= shape[axis];
        if (shape[axis] == 1 && broadcast & 0x40) a->strides[axis] = axis & 1 ? FAR : -FAR; /* never stepped */
    }
    allocate(a, layout >> 7 ? broadcast & 7 : 0);
}

void area_make_plain(area *a, int dtype, int n_axes, const int64_t *shape, int64_t gap, unsigned odd)
{
    int64_t step = (int64_t)number_bytes(dtype);
    *a = (area){.dtype = dtype, .n_axes = n_axes};
    for (int axis = n_axes - 1; axis >= 0; axis--) {
        a->shape[axis] = shape[axis];
        a->strides[axis] = step;
        step *= shape[axis] + (axis == n_axes - 1 ? gap : 0);
    }
    allocate(a, odd);
}

typedef struct filling {
    nature kind;
    uint32_t seed;
} filling;

static void fill_element(char *element, const area *a, void *context)
{
    filling *f = context;
    number_write(element, a->dtype, f->kind, &f->seed);
}

void area_fill(area *a, nature kind, uint32_t seed)
{
    filling f = {kind, seed};
    each(a, fill_element, &f);
    a->before = malloc(a->size);
    if (a->size) memcpy(a->before, a->block, a->size);
}

void area_free(area *a)
{
    free(a->block);
    free(a->before);
}

static int is_canary(const area *a)
{
    for (size_t i = 0; i < a->size; i++)
        if ((unsigned char)a->block[i] != CANARY) return 0;
    return 1;
}

int area_is_untouched(const area *a) { return !a->is_written || is_canary(a); }

static void cross_out(char *element, const area *a, void *context)
{
    (void)context;
    memset(element, CANARY, number_bytes(a->dtype));
}

int area_is_respected(area *a)
{
    if (a->before) return a->size == 0 || memcmp(a->block, a->before, a->size) == 0;
    if (a->is_written) each(a, cross_out, NULL);
    return is_canary(a);
}

typedef struct finding {
    int minus_infinity, finite;
} finding;

static void look(char *element, const area *a, void *context)
{
    finding *f = context;
    f->finite &= number_is_finite(element, a->dtype) || (f->minus_infinity && number_is_minus_infinity(element, a->dtype));
}

int area_is_finite(const area *a, int minus_infinity)
{
    finding f = {minus_infinity, 1};
    each(a, look, &f);
    return f.finite;
}
