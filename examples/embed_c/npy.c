#include "npy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PREFIX = 10, HEADER = 118, LARGEST_HEADER = 4096 }; /* magic, version and length; the header that npy_write makes */
static const char FORMAT[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (%lld, %lld), }";

static const char *read_open(FILE *file, matrix *m)
{
    unsigned char prefix[PREFIX];
    char text[LARGEST_HEADER + 1];
    if (fread(prefix, 1, PREFIX, file) != PREFIX || memcmp(prefix, "\x93NUMPY\x01\x00", 8) != 0)
        return "is no .npy file of version 1.0";
    size_t length = prefix[8] | (size_t)prefix[9] << 8;
    if (length > LARGEST_HEADER || fread(text, 1, length, file) != length) return "has a header that is cut off or too long";
    text[length] = 0;

    long long rows, columns;
    char again[LARGEST_HEADER];
    if (sscanf(text, FORMAT, &rows, &columns) != 2) return "must be float32, little-endian, C order, with two axes";
    int used = snprintf(again, sizeof again, FORMAT, rows, columns); /* sscanf accepts more than NumPy writes */
    if (strlen(text) != length || strncmp(text, again, (size_t)used) != 0 || strspn(text + used, " \n") != length - (size_t)used)
        return "must be float32, little-endian, C order, with two axes";
    if (rows < 0 || columns < 0 || (columns > 0 && rows > INT64_MAX / 4 / columns)) return "has impossible sizes";

    size_t count = (size_t)(rows * columns);
    float *data = malloc(count ? count * sizeof(float) : 1);
    if (!data) return "does not fit into memory";
    if (fread(data, sizeof(float), count, file) != count || fgetc(file) != EOF) {
        free(data);
        return "has less or more data than its shape says";
    }
    m->rows = rows;
    m->columns = columns;
    m->data = data;
    return NULL;
}

const char *npy_read(const char *path, matrix *m)
{
    FILE *file = fopen(path, "rb");
    if (!file) return "cannot be opened";
    const char *problem = read_open(file, m);
    fclose(file);
    return problem;
}

const char *npy_write(const char *path, const matrix *m)
{
    char header[PREFIX + HEADER];
    memset(header, ' ', sizeof header);
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    header[8] = HEADER;
    header[9] = 0;
    int used = snprintf(header + PREFIX, HEADER, FORMAT, (long long)m->rows, (long long)m->columns);
    header[PREFIX + used] = ' '; /* not the end of a string */
    header[PREFIX + HEADER - 1] = '\n';

    FILE *file = fopen(path, "wb");
    if (!file) return "cannot be opened for writing";
    size_t count = (size_t)(m->rows * m->columns);
    int written = fwrite(header, sizeof header, 1, file) == 1 && fwrite(m->data, sizeof(float), count, file) == count;
    return fclose(file) == 0 && written ? NULL : "cannot be written";
}
