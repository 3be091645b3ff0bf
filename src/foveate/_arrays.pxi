"""Taking NumPy arrays as strided views of the C API: dtypes, shapes, broadcasting. Included by _core.pyx."""

cdef struct Call:
    fov_attention_args args
    Py_buffer buffers[N_SLOTS]
    int64_t batch_shape[MAX_AXES]
    int64_t batch_bytes[N_SLOTS][MAX_AXES]
    int held  # bit i: buffers[i] is acquired
    bint one_head  # every input is 2-D: the result has no head axis
    bint blhd


# ----- inputs


cdef void end(Call *call) noexcept:
    cdef int slot
    for slot in range(N_SLOTS):
        if call.held >> slot & 1:
            PyBuffer_Release(&call.buffers[slot])


cdef int acquire(Call *call, int slot, object array, bint writable=False) except -1:
    PyObject_GetBuffer(array, &call.buffers[slot], PyBUF_STRIDES | (PyBUF_WRITABLE if writable else 0))
    call.held |= 1 << slot
    return 0


cdef int code_of(object dtype) except -2:
    """fov_dtype of a NumPy dtype, -1 if it is none: the singletons by identity, the rest by name."""
    global BF16
    cdef int code
    if dtype is F32:
        return FOV_F32
    if dtype is F64:
        return FOV_F64
    if dtype is F16:
        return FOV_F16
    if dtype is BF16:
        return FOV_BF16
    code = _validate.float_code(dtype)
    if code == FOV_BF16:
        BF16 = dtype
    return code


cdef object take(Call *call, int slot, object array, int least_ndim=2):
    """Acquire an input of the call's dtype (the first one decides it); returns the ndarray."""
    if type(array) is not ndarray:
        array = _validate.as_ndarray(NAMES[slot], array)
    cdef object dtype = array.dtype
    cdef int code = code_of(dtype)
    if code < 0:
        if call.args.stages == FOV_STAGE_ALL and slot != QUERY:
            return take_quantized(call, slot, array)
        _validate.refuse_dtype(NAMES[slot], array)
    if call.args.kv_dtype:
        _validate.refuse_quantized(dtype, call.args.kv_dtype)
    if call.args.dtype < 0:
        call.args.dtype = code
    elif call.args.dtype != code:
        _validate.refuse_mixed_dtypes(NAMES[slot], dtype, call.args.dtype)
    acquire(call, slot, array.view(UINT16) if code == FOV_BF16 else array)
    if call.buffers[slot].ndim < least_ndim:
        _validate.refuse_ndim(NAMES[slot], array.shape)
    return array


cdef object take_quantized(Call *call, int slot, object array):
    """Acquire key or value, both of int8 or both of float8."""
    cdef int code = _validate.quantized_code(array.dtype)
    if code == 0:
        _validate.refuse_dtype(NAMES[slot], array)
    if slot == VALUE and call.args.kv_dtype != code:
        _validate.refuse_quantized(array.dtype, call.args.kv_dtype)
    call.args.kv_dtype = code
    acquire(call, slot, array.view(UINT8))
    if call.buffers[slot].ndim < 2:
        _validate.refuse_ndim(NAMES[slot], array.shape)
    return array


cdef int64_t rows(Call *call, int slot, bint blhd) noexcept:
    cdef Py_buffer *b = &call.buffers[slot]
    return b.shape[b.ndim - (3 if blhd and b.ndim > 2 else 2)]


cdef int64_t heads(Call *call, int slot, bint blhd) noexcept:
    cdef Py_buffer *b = &call.buffers[slot]
    return 1 if b.ndim < 3 else b.shape[b.ndim - (2 if blhd else 3)]


cdef int64_t columns(Call *call, int slot) noexcept:
    return call.buffers[slot].shape[call.buffers[slot].ndim - 1]


cdef tuple shape_of(Call *call, int slot):
    cdef int axis
    return tuple([call.buffers[slot].shape[axis] for axis in range(call.buffers[slot].ndim)])


cdef list shapes_held(Call *call):
    """(name, shape) of every array taken so far, for refusals."""
    return [(NAMES[slot], shape_of(call, slot)) for slot in range(N_SLOTS) if call.held >> slot & 1]


cdef int broadcast_batch(Call *call) except -1:
    """The common batch shape of all arrays taken so far; also sets one_head."""
    cdef int slot, axis, own, n = 0
    cdef int64_t size
    call.one_head = True
    for slot in range(N_SLOTS):
        if call.held >> slot & 1 and call.buffers[slot].ndim > 2:
            call.one_head = False
            n = max(n, call.buffers[slot].ndim - 3)
    for axis in range(n):
        call.batch_shape[axis] = 1
    call.args.n_batch_axes = n
    call.args.batch_shape = call.batch_shape
    for slot in range(N_SLOTS):
        if not call.held >> slot & 1:
            continue
        own = call.buffers[slot].ndim - 3
        for axis in range(own):
            size = call.buffers[slot].shape[axis]
            if size == 1:
                continue
            if call.batch_shape[n - own + axis] not in (1, size):
                _validate.refuse_batch(shapes_held(call))
            call.batch_shape[n - own + axis] = size
    return 0


cdef tuple batch_of(Call *call):
    cdef int axis
    return tuple([call.batch_shape[axis] for axis in range(call.args.n_batch_axes)])


cdef inline int64_t step(Py_buffer *b, int axis) noexcept:
    """The stride, 0 on an axis of length 1, where NumPy may leave any."""
    return b.strides[axis] if b.shape[axis] != 1 else 0


cdef tuple result_shape(Call *call, int64_t n_columns, bint blhd):
    """(..., Hq, Lq, n_columns), or (Lq, n_columns) when every input is 2-D."""
    if call.one_head:
        return (call.args.q_len, n_columns)
    cdef tuple tail = (call.args.n_q_heads, call.args.q_len, n_columns)
    if blhd:
        tail = (call.args.q_len, call.args.n_q_heads, n_columns)
    return batch_of(call) + tail if call.args.n_batch_axes else tail


cdef tuple output_shape(Call *call, bint product):
    """That of the output; a product has an axis of the keys before the last."""
    cdef tuple shape = result_shape(call, call.args.value_dim, call.blhd)
    return shape[:-1] + (call.args.kv_len, call.args.value_dim) if product else shape


cdef int refuse_place(Call *call, int slot, int64_t n_heads, int64_t n_rows, int64_t n_columns) except -1:
    cdef tuple target = batch_of(call) + (n_heads, n_rows, n_columns)
    _validate.refuse_broadcast(NAMES[slot], shape_of(call, slot), target)


cdef int place(Call *call, int slot, fov_array *view, int64_t n_heads, int64_t n_rows, int64_t n_columns,
               bint blhd=False, int first=0) except -1:
    """Fill `view` from an acquired buffer: axes aligned at the right, absent and size-1 axes get stride 0.

    ``first=1``: the buffer has no column axis.
    """
    cdef Py_buffer *b = &call.buffers[slot]
    cdef int n = call.args.n_batch_axes, axis, own
    cdef int64_t target, stride = 0
    view.data = b.buf if b.buf != NULL else &NOTHING
    view.batch_bytes = call.batch_bytes[slot]
    view.dtype = call.args.dtype
    if b.ndim > n + 3:
        refuse_place(call, slot, n_heads, n_rows, n_columns)
    for axis in range(first, n + 3):  # counted from the right
        own = b.ndim - 1 - axis + first
        if axis == 0:
            target = n_columns
        elif axis == 1:
            target = n_heads if blhd and b.ndim > 2 else n_rows
        elif axis == 2:
            target = n_rows if blhd and b.ndim > 2 else n_heads
        else:
            target = call.batch_shape[n + 2 - axis]
        if own < 0 or b.shape[own] == 1:
            stride = 0
        elif b.shape[own] == target:
            stride = b.strides[own]
        else:
            refuse_place(call, slot, n_heads, n_rows, n_columns)
        if axis == 0:
            view.column_bytes = stride
        elif axis == (2 if blhd and b.ndim > 2 else 1):
            view.row_bytes = stride
        elif axis < 3:
            view.head_bytes = stride
        else:
            call.batch_bytes[slot][n + 2 - axis] = stride
    return 0


cdef int place_output(Call *call, bint product) except -1:
    """Fill args.output from its buffer, which has exactly `output_shape`."""
    cdef fov_attention_args *a = &call.args
    cdef Py_buffer *b = &call.buffers[OUTPUT]
    cdef int n = a.n_batch_axes, axis
    if not product:
        return place(call, OUTPUT, &a.output, a.n_q_heads, a.q_len, a.value_dim, call.blhd)
    a.output.data = b.buf if b.buf != NULL else &NOTHING
    a.output.batch_bytes = call.batch_bytes[OUTPUT]
    a.output.dtype = a.dtype
    a.output.column_bytes = step(b, b.ndim - 1)
    a.output_key_bytes = step(b, b.ndim - 2)
    if call.one_head:
        a.output.row_bytes = step(b, 0)
        return 0
    a.output.row_bytes = step(b, n if call.blhd else n + 1)
    a.output.head_bytes = step(b, n + 1 if call.blhd else n)
    for axis in range(n):
        call.batch_bytes[OUTPUT][axis] = step(b, axis)
    return 0


cdef object create(Call *call, int slot, tuple shape, object dtype):
    cdef object array = empty(shape, dtype)
    acquire(call, slot, array.view(UINT16) if code_of(dtype) == FOV_BF16 else array, True)
    return array


cdef bint is_contiguous(Py_buffer *b) noexcept:
    cdef int64_t size = b.itemsize
    cdef int axis
    for axis in range(b.ndim - 1, -1, -1):
        if b.shape[axis] != 1 and b.strides[axis] != size:
            return False
        size *= b.shape[axis]
    return True


cdef bint is_plain(Call *call, int slot) noexcept:
    """C-contiguous and apart from every other buffer of the call: the cheap and common answer for out."""
    cdef Py_buffer *b = &call.buffers[slot]
    cdef int other
    cdef char *low
    cdef char *high
    if not is_contiguous(b):
        return False
    for other in range(N_SLOTS):
        if call.held >> other & 1 and other != slot:
            bounds(&call.buffers[other], &low, &high)
            if low < <char *>b.buf + b.len and high > <char *>b.buf:
                return False
    return True


cdef void bounds(Py_buffer *b, char **low, char **high) noexcept:
    cdef int axis
    low[0], high[0] = <char *>b.buf, <char *>b.buf + b.itemsize
    for axis in range(b.ndim):
        if b.shape[axis] > 0:
            if b.strides[axis] < 0:
                low[0] += b.strides[axis] * (b.shape[axis] - 1)
            else:
                high[0] += b.strides[axis] * (b.shape[axis] - 1)


cdef int take_out(Call *call, object out, tuple shape, object dtype, tuple inputs) except -1:
    """Acquire out= for writing. Plain arrays pass here, others and all errors go through `_validate.out`."""
    if type(out) is not ndarray or out.dtype is not dtype or out.shape != shape:
        _validate.out(out, shape, dtype, inputs)
    cdef object raw = out.view(UINT16) if call.args.dtype == FOV_BF16 else out
    try:
        acquire(call, OUTPUT, raw, True)
    except (BufferError, ValueError):
        _validate.out(out, shape, dtype, inputs)
        raise
    if not is_plain(call, OUTPUT):
        _validate.out(out, shape, dtype, inputs)
    return 0


# ----- options that are arrays


cdef int place_matrix(Call *call, int slot, fov_array *view, object array, int code) except -1:
    """mask or bias, broadcast to (..., Hq, Lq, Lk)."""
    acquire(call, slot, array.view(UINT16) if code == FOV_BF16 else array)
    place(call, slot, view, call.args.n_q_heads, call.args.q_len, call.args.kv_len)
    view.dtype = code
    return 0


cdef object place_scale(Call *call, int slot, fov_array *view, object scale):
    """k_scale or v_scale, broadcast to (..., Hkv, Lk); returns the array."""
    if call.args.kv_dtype == 0:
        _validate.refuse_scale(NAMES[slot])
    scale = _validate.scale(NAMES[slot], scale)
    acquire(call, slot, scale)
    place(call, slot, view, call.args.n_kv_heads, call.args.kv_len, 1, False, 1)
    view.dtype = FOV_F32
    return scale


cdef int place_per_batch(Call *call, int slot, fov_per_batch *view, object array) except -1:
    """An int64 array broadcast to the batch axes, or one int for all."""
    cdef Py_buffer *b = &call.buffers[slot]
    cdef int n = call.args.n_batch_axes, axis, own
    if isinstance(array, int):
        view.value = array
        return 0
    acquire(call, slot, array)
    view.data = <int64_t *>(b.buf if b.buf != NULL else &NOTHING)
    view.batch_bytes = call.batch_bytes[slot]
    for axis in range(max(n, b.ndim)):  # counted from the right
        own = b.ndim - 1 - axis
        if axis >= n or (own >= 0 and b.shape[own] not in (1, call.batch_shape[n - 1 - axis])):
            _validate.refuse_broadcast(NAMES[slot], shape_of(call, slot), batch_of(call))
        call.batch_bytes[slot][n - 1 - axis] = step(b, own) if own >= 0 else 0
    return 0


cdef int place_parameters(Call *call, tuple arrays) except -1:
    """The learnt arrays of the score: (v, w_q, w_k), or (w,), which is w_q."""
    cdef int index, slot
    cdef fov_parameter *views[3]
    cdef Py_buffer *b
    views[0], views[1], views[2] = &call.args.score_v, &call.args.score_w_q, &call.args.score_w_k
    for index, array in enumerate(arrays):
        if array is None:
            continue
        slot = index if len(arrays) == 3 else 1
        b = &call.buffers[PARAMETER_V + slot]
        acquire(call, PARAMETER_V + slot, array)
        views[slot].data = b.buf
        if slot > 0:
            views[slot].row_elements = b.shape[b.ndim - 1]
        if b.ndim > (2 if slot > 0 else 1):
            views[slot].head_elements = step(b, 0) // b.itemsize
    return 0


cdef int take_sizes(Call *call, int row_slot, bint any_key_dim=False) except -1:
    """The sizes of the call from what is held: query and key, weights and value, or query, key and value."""
    cdef fov_attention_args *a = &call.args
    cdef bint row_blhd = call.blhd and row_slot == QUERY
    cdef int kv_slot = KEY if call.held >> KEY & 1 else VALUE
    cdef bint has_value = call.held >> VALUE & 1
    a.n_q_heads = heads(call, row_slot, row_blhd)
    a.q_len = rows(call, row_slot, row_blhd)
    a.n_kv_heads = heads(call, kv_slot, call.blhd)
    a.kv_len = rows(call, kv_slot, call.blhd)
    if row_slot == QUERY:
        a.head_dim = columns(call, QUERY)
        a.key_dim = columns(call, KEY)
    if has_value:
        a.value_dim = columns(call, VALUE)
    if ((row_slot == QUERY and a.key_dim != a.head_dim and not any_key_dim)
            or (row_slot == WEIGHTS and columns(call, WEIGHTS) != a.kv_len)
            or (has_value and heads(call, VALUE, call.blhd) != a.n_kv_heads)
            or (has_value and rows(call, VALUE, call.blhd) != a.kv_len)
            or (a.n_q_heads % a.n_kv_heads if a.n_kv_heads else a.n_q_heads)):
        _validate.refuse_sizes_that_disagree(shapes_held(call), call.blhd, any_key_dim)
    return 0
