/* An array of a call in heap memory of exactly the bytes that its strides span, so that the sanitizer sees each byte beyond. */
#ifndef FUZZ_AREA_H
#define FUZZ_AREA_H

#include "choices.h"
#include "numbers.h"

enum { MAX_AXES = 6 }; /* two of the batch, head, row, key of a product, column */

typedef struct area {
    char *block, *before; /* NULL: the array is absent; what an input held */
    size_t size;
    char *start; /* element (0, ..., 0) */
    int dtype, is_written, n_axes;
    int64_t shape[MAX_AXES], strides[MAX_AXES]; /* bytes */
} area;

/* Memory for these axes: any order of them, either sign, gaps, odd addresses; broadcast where the array is read. */
void area_make(area *a, choices *in, int dtype, int n_axes, const int64_t *shape, int is_written);
/* In C order, with `gap` elements behind each row, `odd` bytes from an address that suits the type. */
void area_make_plain(area *a, int dtype, int n_axes, const int64_t *shape, int64_t gap, unsigned odd);
void area_fill(area *a, nature kind, uint32_t seed); /* and remembers it */
void area_free(area *a);

/* All of the bytes of an array that is written still are as they were. */
int area_is_untouched(const area *a);
/* Those of an input, and those between the elements of a result. Destroys the elements of a result. */
int area_is_respected(area *a);
/* Every element is finite, or, where that is allowed, -infinity. */
int area_is_finite(const area *a, int minus_infinity);

#endif
