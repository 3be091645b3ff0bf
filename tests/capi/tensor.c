#include "tensor.h"

#include <string.h>

size_t dtype_size(int dtype)
{
    static const size_t sizes[] = {[FOV_F32] = 4,  [FOV_F64] = 8,  [FOV_F16] = 2,    [FOV_BF16] = 2,
                                   [FOV_BOOL] = 1, [FOV_INT8] = 1, [FOV_F8_E4M3] = 1};
    return sizes[dtype];
}

const char *dtype_name(int dtype)
{
    static const char *const names[] = {"f32", "f64", "f16", "bf16", "bool", "int8", "f8"};
    return names[dtype];
}

wide dtype_roundoff(int dtype)
{
    static const wide roundoffs[] = {
        [FOV_F32] = 0x1p-24L, [FOV_F64] = 0x1p-53L, [FOV_F16] = 0x1p-11L, [FOV_BF16] = 0x1p-8L, [FOV_BOOL] = 0};
    return roundoffs[dtype];
}

wide dtype_tiny(int dtype)
{
    static const wide tinies[] = {
        [FOV_F32] = 0x1p-126L, [FOV_F64] = 0x1p-1022L, [FOV_F16] = 0x1p-25L, [FOV_BF16] = 0x1p-126L, [FOV_BOOL] = 0};
    return tinies[dtype];
}

wide dtype_load(const void *element, int dtype)
{
    float f32;
    double f64;
    _Float16 f16;
    uint16_t half;
    uint32_t bits;
    switch (dtype) {
    case FOV_F32: memcpy(&f32, element, sizeof f32); return f32;
    case FOV_F64: memcpy(&f64, element, sizeof f64); return f64;
    case FOV_F16: memcpy(&f16, element, sizeof f16); return (float)f16;
    case FOV_BF16:
        memcpy(&half, element, sizeof half);
        bits = (uint32_t)half << 16;
        memcpy(&f32, &bits, sizeof f32);
        return f32;
    default: return *(const unsigned char *)element != 0;
    }
}

static uint16_t bf16_from_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (value != value) return 0x7FC0;
    return (uint16_t)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16); /* to nearest, ties to even */
}

void dtype_store(void *element, int dtype, double value)
{
    float f32 = (float)value;
    _Float16 f16 = (_Float16)f32;
    uint16_t bf16 = bf16_from_float(f32);
    unsigned char boolean = value != 0 ? 2 : 0; /* any non-zero byte is true, not bit 0 alone */
    const void *sources[] = {[FOV_F32] = &f32, [FOV_F64] = &value, [FOV_F16] = &f16, [FOV_BF16] = &bf16, [FOV_BOOL] = &boolean};
    memcpy(element, sources[dtype], dtype_size(dtype));
}

void tensor_init(tensor *array, int dtype, const int64_t shape[4], tensor_layout layout, int broadcast, int flush_end)
{
    int64_t item = (int64_t)dtype_size(dtype);
    int64_t strides[4];
    int64_t step = layout == LAYOUT_STEPPED ? 2 * item : item;
    int64_t row = shape[3] * step + (layout == LAYOUT_ODD_BYTES);
    strides[3] = step;
    if (layout == LAYOUT_BLHD) {
        strides[1] = row;
        strides[2] = row * shape[1];
        strides[0] = strides[2] * shape[2];
    } else {
        strides[2] = row;
        strides[1] = row * shape[2];
        strides[0] = strides[1] * shape[1];
    }
    if (broadcast & BROADCAST_BATCH) strides[0] = 0;
    if (broadcast & BROADCAST_HEAD) strides[1] = 0;
    if (broadcast & BROADCAST_ROW) strides[2] = 0;
    if (broadcast & BROADCAST_COLUMN) strides[3] = 0;
    int64_t extent = item, start = 0;
    for (int axis = 0; axis < 4; axis++) {
        int64_t reach = shape[axis] > 0 ? (shape[axis] - 1) * strides[axis] : -1;
        if (reach < 0) {
            extent = start = 0;
            break;
        }
        extent += reach;
        if (layout == LAYOUT_REVERSED && axis >= 2) {
            start += reach;
            strides[axis] = -strides[axis];
        }
    }
    array->memory = guarded_new((size_t)extent, 1, flush_end);
    array->batch_bytes = strides[0];
    array->view = (fov_array){.data = array->memory.data + start,
                              .batch_bytes = &array->batch_bytes,
                              .head_bytes = strides[1],
                              .row_bytes = strides[2],
                              .column_bytes = strides[3],
                              .dtype = dtype};
}

void tensor_free(tensor *array)
{
    if (array->memory.mapping) guarded_free(&array->memory);
    array->view = (fov_array){0};
}

static char *element_of(const tensor *array, int64_t batch, int64_t head, int64_t row, int64_t column)
{
    const fov_array *view = &array->view;
    return (char *)view->data + batch * array->batch_bytes + head * view->head_bytes + row * view->row_bytes +
           column * view->column_bytes;
}

wide tensor_get(const tensor *array, int64_t batch, int64_t head, int64_t row, int64_t column)
{
    return dtype_load(element_of(array, batch, head, row, column), array->view.dtype);
}

void tensor_set(tensor *array, int64_t batch, int64_t head, int64_t row, int64_t column, double value)
{
    dtype_store(element_of(array, batch, head, row, column), array->view.dtype, value);
}

void tensor_fill_bytes(tensor *array, const int64_t shape[4], int byte)
{
    for (int64_t batch = 0; batch < shape[0]; batch++)
        for (int64_t head = 0; head < shape[1]; head++)
            for (int64_t row = 0; row < shape[2]; row++)
                for (int64_t column = 0; column < shape[3]; column++)
                    memset(element_of(array, batch, head, row, column), byte, dtype_size(array->view.dtype));
}

void tensor_fill_random(tensor *array, const int64_t shape[4], random_state *random, double magnitude)
{
    for (int64_t batch = 0; batch < shape[0]; batch++)
        for (int64_t head = 0; head < shape[1]; head++)
            for (int64_t row = 0; row < shape[2]; row++)
                for (int64_t column = 0; column < shape[3]; column++)
                    tensor_set(array, batch, head, row, column, random_uniform(random, -magnitude, magnitude));
}
