/* Arrays of the tests: any storage type, several memory layouts, each between guard pages. */
#ifndef TESTS_TENSOR_H
#define TESTS_TENSOR_H

#include "check.h"
#include "foveate/foveate.h"

typedef long double wide; /* the oracle's arithmetic: at least 11 bits more than f64 */

size_t dtype_size(int dtype);
const char *dtype_name(int dtype);
wide dtype_roundoff(int dtype); /* half the distance from 1 to the next number */
wide dtype_tiny(int dtype);     /* half the distance between the smallest numbers, f32 and f64: their flush to zero */
wide dtype_load(const void *element, int dtype);
void dtype_store(void *element, int dtype, double value);

typedef enum tensor_layout {
    LAYOUT_BHLD,      /* C order */
    LAYOUT_BLHD,      /* heads inside rows */
    LAYOUT_ODD_BYTES, /* one byte between rows: every other row is misaligned */
    LAYOUT_STEPPED,   /* every second element of a row */
    LAYOUT_REVERSED,  /* rows and columns run backwards */
    N_LAYOUTS
} tensor_layout;

/* (batch, head, row, column); an axis of length 0 is allowed, a broadcast axis has stride 0. */
typedef struct tensor {
    fov_array view; /* batch_bytes points into this struct: do not copy a tensor */
    int64_t batch_bytes;
    guarded memory;
} tensor;

enum { BROADCAST_BATCH = 1, BROADCAST_HEAD = 2, BROADCAST_ROW = 4, BROADCAST_COLUMN = 8 };

void tensor_init(tensor *array, int dtype, const int64_t shape[4], tensor_layout layout, int broadcast, int flush_end);
void tensor_free(tensor *array);
wide tensor_get(const tensor *array, int64_t batch, int64_t head, int64_t row, int64_t column);
void tensor_set(tensor *array, int64_t batch, int64_t head, int64_t row, int64_t column, double value);
/* Every byte of every element. */
void tensor_fill_bytes(tensor *array, const int64_t shape[4], int byte);
void tensor_fill_random(tensor *array, const int64_t shape[4], random_state *random, double magnitude);

#endif
