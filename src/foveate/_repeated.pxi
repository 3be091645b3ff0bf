"""A problem that comes again: its arguments are kept and only pointers are new. Included by _core.pyx.

What is kept follows from shapes, strides and dtype, which are compared. Of 3 x 2 arrays the rest of a call is
then four buffers, the output and the library.
"""

cdef enum:
    KEPT_AXES = 4

cdef struct Extent:
    int ndim
    Py_ssize_t shape[KEPT_AXES]
    Py_ssize_t strides[KEPT_AXES]
    Py_ssize_t low, high  # of its bytes, from the pointer of the buffer

cdef struct Problem:
    bint known
    int64_t version  # rises with every problem that is kept
    Extent query, key, value, output
    fov_attention_args args
    int64_t batch_shape[1]
    int64_t batch_bytes[4][1]

cdef extern from *:  # Python.h
    int get_buffer "PyObject_GetBuffer"(object array, Py_buffer *buffer, int flags) noexcept


cdef int get_buffers(Py_buffer *b, object query, object key, object value, object out) noexcept:
    """How many of the four could be had."""
    cdef int held
    held = get_buffer(query, &b[0], PyBUF_STRIDES) == 0
    if held == 1:
        held += get_buffer(key, &b[1], PyBUF_STRIDES) == 0
    if held == 2:
        held += get_buffer(value, &b[2], PyBUF_STRIDES) == 0
    if held == 3:
        held += get_buffer(out, &b[3], PyBUF_STRIDES | PyBUF_WRITABLE) == 0
    if held < 4:
        PyErr_Clear()
    return held


cdef bint keep_extent(Extent *e, Py_buffer *b) noexcept:
    cdef int axis
    cdef char *low
    cdef char *high
    if b.ndim > KEPT_AXES or b.len == 0:
        return False
    e.ndim = b.ndim
    for axis in range(b.ndim):
        e.shape[axis], e.strides[axis] = b.shape[axis], b.strides[axis]
    bounds(b, &low, &high)
    e.low, e.high = low - <char *>b.buf, high - <char *>b.buf
    return True


cdef bint is_extent(Extent *e, Py_buffer *b) noexcept:
    cdef int axis
    if b.ndim != e.ndim:
        return False
    for axis in range(e.ndim):
        if b.shape[axis] != e.shape[axis] or b.strides[axis] != e.strides[axis]:
            return False
    return True


cdef bint meets(Extent *e, Py_buffer *b, Py_buffer *out) noexcept:
    """Whether the bytes of an input and those of a contiguous output may be the same."""
    return <char *>b.buf + e.low < <char *>out.buf + out.len and <char *>b.buf + e.high > <char *>out.buf


cdef void point_to_batch(Problem *p) noexcept:
    p.args.batch_shape = p.batch_shape
    p.args.query.batch_bytes, p.args.key.batch_bytes = p.batch_bytes[0], p.batch_bytes[1]
    p.args.value.batch_bytes, p.args.output.batch_bytes = p.batch_bytes[2], p.batch_bytes[3]


cdef void keep_problem(Problem *p, Call *call) noexcept:
    """After a call of query, key and value alone."""
    p.version += 1
    p.known = False
    if (call.args.n_batch_axes > 1 or call.args.kv_dtype or call.args.dtype == FOV_BF16
            or not is_contiguous(&call.buffers[OUTPUT])
            or not keep_extent(&p.query, &call.buffers[QUERY])
            or not keep_extent(&p.key, &call.buffers[KEY])
            or not keep_extent(&p.value, &call.buffers[VALUE])
            or not keep_extent(&p.output, &call.buffers[OUTPUT])):
        return
    p.args = call.args
    p.args.stats = NULL
    p.batch_shape[0] = call.batch_shape[0]
    if call.batch_shape[0] == 1:  # the library keeps plans without batch axes
        p.args.n_batch_axes = 0
    p.batch_bytes[0][0], p.batch_bytes[1][0] = call.batch_bytes[QUERY][0], call.batch_bytes[KEY][0]
    p.batch_bytes[2][0], p.batch_bytes[3][0] = call.batch_bytes[VALUE][0], call.batch_bytes[OUTPUT][0]
    point_to_batch(p)
    p.known = True


cdef bint is_problem(Problem *p, Py_buffer *b) noexcept:
    """Whether query, key, value and out in `b` have the shapes and strides of p, and out lies apart."""
    return (is_extent(&p.query, &b[0]) and not meets(&p.query, &b[0], &b[3])
            and is_extent(&p.key, &b[1]) and not meets(&p.key, &b[1], &b[3])
            and is_extent(&p.value, &b[2]) and not meets(&p.value, &b[2], &b[3])
            and is_extent(&p.output, &b[3]))


cdef int run_problem(Problem *p, Py_buffer *b) except -1:
    cdef Problem own
    if not is_small(&p.args):  # without the GIL another thread may keep another problem here
        own = p[0]
        p = &own
        point_to_batch(p)
    p.args.query.data, p.args.key.data, p.args.value.data = b[0].buf, b[1].buf, b[2].buf
    p.args.output.data = b[3].buf
    return compute(&p.args)
