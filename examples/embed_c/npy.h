/* .npy files of one kind only: float32, little-endian, C order, two axes. Everything else is refused. */
#ifndef NPY_H
#define NPY_H

#include <stdint.h>

typedef struct matrix {
    int64_t rows, columns;
    float *data; /* owned: free() it */
} matrix;

/* NULL: done. Otherwise what is wrong, and nothing needs freeing. */
const char *npy_read(const char *path, matrix *m);
const char *npy_write(const char *path, const matrix *m);

#endif
