# cython: language_level=3, auto_pickle=False, autotestdict=False, embedsignature=False
"""The binding: NumPy arrays in, one call of the C library without the GIL, NumPy arrays out.

Arrays come in through the buffer protocol (about 40 ns each, a typed memoryview takes 500) and are never
copied. What a Mode fixes is in a Plan, so that a call only checks arrays. Words for refusals that need
more than a line, and conversions off the fast path, are in `_validate`.
"""

cimport cython
from cpython.buffer cimport PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.math cimport sqrt
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from foveate.cfoveate cimport *

import numpy as np

from foveate import _validate
from foveate._result import AttentionResult

cdef enum:
    MAX_AXES = 64  # NumPy's own limit

cdef enum:  # slots of a Call
    QUERY, KEY, VALUE, OUTPUT, LSE, WEIGHTS, LOGITS, MASK, BIAS, KV_LENGTHS, Q_OFFSET, ALIBI_SLOPES, SINKS
    N_SLOTS

cdef enum:  # alignments of queries and keys; mode.py has the same list
    UNBOUNDED, EQUAL_LENGTHS, TOP_LEFT, BOTTOM_RIGHT

cdef tuple NAMES = (
    "query", "key", "value", "out", "lse", "weights", "logits", "mask", "bias", "kv_lengths", "q_offset",
    "alibi_slopes", "sinks",
)
cdef object ndarray = np.ndarray
cdef object empty = np.empty
cdef object F32 = np.dtype(np.float32)
cdef object F64 = np.dtype(np.float64)
cdef object F16 = np.dtype(np.float16)
cdef object BF16 = None  # the dtype of ml_dtypes, once one has come in
cdef object BOOL = np.dtype(np.bool_)
cdef object UINT16 = np.dtype(np.uint16)
cdef char NOTHING = 0  # what an array without elements may point to: NULL means absent

include "_arrays.pxi"
include "_running.pxi"
include "_library.pxi"


@cython.final
cdef class Plan:
    """What a Mode fixes, checked once. ``alignment``: the enum above; -1 leaves a side of the window open."""

    cdef int score, activation, combine, alignment
    cdef double scale, softcap
    cdef bint scale_by_dim, blhd, offset_allowed
    cdef int64_t left, right

    def __init__(self, int score, int activation, int combine, scale, double softcap, int alignment,
                 bint offset_allowed, int64_t left, int64_t right, bint blhd):
        self.score, self.activation, self.combine = score, activation, combine
        self.scale_by_dim = scale is None
        self.scale = 1.0 if scale is None else scale
        self.softcap = softcap
        self.alignment = alignment
        self.offset_allowed = offset_allowed
        self.left = FOV_OPEN if left < 0 else left
        self.right = FOV_OPEN if right < 0 else right
        self.blhd = blhd

    cdef void begin(self, Call *call, int stages) noexcept:
        memset(&call.args, 0, sizeof(fov_attention_args))
        call.held = 0
        call.one_head = False
        call.blhd = self.blhd
        call.args.size = sizeof(fov_attention_args)
        call.args.stages = stages
        call.args.score = self.score
        call.args.activation = self.activation
        call.args.combine = self.combine
        call.args.dtype = -1
        call.args.scale = 1.0
        call.args.window_left = call.args.window_right = FOV_OPEN

    cdef void set_scale(self, Call *call) noexcept:
        call.args.scale = self.scale
        if self.scale_by_dim and call.args.head_dim > 0:
            call.args.scale = 1.0 / sqrt(<double>call.args.head_dim)
        call.args.softcap = self.softcap

    cdef int set_positions(self, Call *call, object kv_lengths, object q_offset) except -1:
        cdef fov_attention_args *a = &call.args
        a.window_left, a.window_right = self.left, self.right
        a.kv_lengths.value = a.kv_len
        if kv_lengths is not None:
            place_per_batch(call, KV_LENGTHS, &a.kv_lengths, _validate.kv_lengths(kv_lengths, a.kv_len))
        if q_offset is not None:
            if not self.offset_allowed:
                _validate.refuse_q_offset(self.alignment == UNBOUNDED)
            place_per_batch(call, Q_OFFSET, &a.q_offset, _validate.q_offset(q_offset))
        elif self.alignment == BOTTOM_RIGHT:
            a.q_offset.value = a.kv_len - a.q_len
        elif self.alignment == EQUAL_LENGTHS and a.q_len != a.kv_len:
            _validate.refuse_alignment(a.q_len, a.kv_len)
        return 0

    @cython.binding(False)  # a plain C method: a call is 0.15 us cheaper
    def attention(self, query, key, value, mask, bias, alibi_slopes, sinks, kv_lengths, q_offset,
                  bint return_lse, bint return_weights, out, num_threads):
        cdef Call call
        self.begin(&call, FOV_STAGE_ALL)
        try:
            return self.fused(&call, query, key, value, mask, bias, alibi_slopes, sinks, kv_lengths, q_offset,
                              return_lse, return_weights, out, num_threads)
        finally:
            end(&call)

    cdef object fused(self, Call *call, query, key, value, mask, bias, alibi_slopes, sinks, kv_lengths,
                      q_offset, bint return_lse, bint return_weights, out, num_threads):
        cdef fov_attention_args *a = &call.args
        cdef object lse = None, weights = None
        query, key, value = take(call, QUERY, query), take(call, KEY, key), take(call, VALUE, value)
        cdef object dtype = query.dtype
        take_sizes(call, QUERY)
        broadcast_batch(call)
        check_sizes(call)
        self.set_scale(call)
        self.set_positions(call, kv_lengths, q_offset)
        place(call, QUERY, &a.query, a.n_q_heads, a.q_len, a.head_dim, call.blhd)
        place(call, KEY, &a.key, a.n_kv_heads, a.kv_len, a.head_dim, call.blhd)
        place(call, VALUE, &a.value, a.n_kv_heads, a.kv_len, a.value_dim, call.blhd)
        if mask is not None:
            if type(mask) is not ndarray or mask.dtype is not BOOL:
                mask = _validate.mask(mask)
            place_matrix(call, MASK, &a.mask, mask, FOV_BOOL)
        if bias is not None:
            if type(bias) is not ndarray or code_of(bias.dtype) < 0:
                bias = _validate.bias(bias)
            place_matrix(call, BIAS, &a.bias, bias, code_of(bias.dtype))
        if (return_lse or sinks is not None) and not fov_activation_has_lse(self.activation):
            _validate.refuse_lse("return_lse" if return_lse else "sinks", activation_names[self.activation])
        if alibi_slopes is not None:
            acquire(call, ALIBI_SLOPES, _validate.per_head("alibi_slopes", alibi_slopes, a.n_q_heads))
            a.alibi_slopes = <const double *>call.buffers[ALIBI_SLOPES].buf
        if sinks is not None:
            acquire(call, SINKS, _validate.per_head("sinks", sinks, a.n_q_heads))
            a.sinks = <const double *>call.buffers[SINKS].buf

        cdef tuple shape = result_shape(call, a.value_dim, call.blhd)
        if out is None:
            out = create(call, OUTPUT, shape, dtype)
        else:
            take_out(call, out, shape, dtype, (query, key, value, mask, bias))
        place(call, OUTPUT, &a.output, a.n_q_heads, a.q_len, a.value_dim, call.blhd)
        if return_lse:
            lse = create(call, LSE, result_shape(call, 1, False)[:-1], F64 if a.dtype == FOV_F64 else F32)
            place(call, LSE, &a.lse, a.n_q_heads, a.q_len, 1, False, 1)
            a.lse.dtype = FOV_F64 if a.dtype == FOV_F64 else FOV_F32
        if return_weights:
            weights = create(call, WEIGHTS, result_shape(call, a.kv_len, False), dtype)
            place(call, WEIGHTS, &a.weights, a.n_q_heads, a.q_len, a.kv_len)
        run(call, num_threads)
        return AttentionResult(out, lse, weights) if return_lse or return_weights else out

    def scores(self, query, key, num_threads):
        """Logits (..., Hq, Lq, Lk)."""
        cdef Call call
        cdef fov_attention_args *a = &call.args
        self.begin(&call, FOV_STAGE_SCORE)
        try:
            query, key = take(&call, QUERY, query), take(&call, KEY, key)
            take_sizes(&call, QUERY)
            broadcast_batch(&call)
            check_sizes(&call)
            self.set_scale(&call)
            a.kv_lengths.value = a.kv_len
            place(&call, QUERY, &a.query, a.n_q_heads, a.q_len, a.head_dim, call.blhd)
            place(&call, KEY, &a.key, a.n_kv_heads, a.kv_len, a.head_dim, call.blhd)
            logits = create(&call, LOGITS, result_shape(&call, a.kv_len, False), query.dtype)
            place(&call, LOGITS, &a.logits, a.n_q_heads, a.q_len, a.kv_len)
            run(&call, num_threads)
            return logits
        finally:
            end(&call)

    def activate(self, logits, weights, mask, num_threads):
        """Weights of ``logits`` along its last axis into ``weights``; ``mask`` broadcasts to them."""
        cdef Call call
        cdef fov_attention_args *a = &call.args
        self.begin(&call, FOV_STAGE_ACTIVATION)
        try:
            take(&call, LOGITS, logits, 1)
            acquire(&call, WEIGHTS, weights.view(UINT16) if a.dtype == FOV_BF16 else weights, True)
            a.n_q_heads = a.n_kv_heads = heads(&call, LOGITS, False)
            a.q_len = rows(&call, LOGITS, False) if call.buffers[LOGITS].ndim > 1 else 1
            a.kv_len = a.kv_lengths.value = columns(&call, LOGITS)
            broadcast_batch(&call)
            check_sizes(&call)
            place(&call, LOGITS, &a.logits, a.n_q_heads, a.q_len, a.kv_len)
            place(&call, WEIGHTS, &a.weights, a.n_q_heads, a.q_len, a.kv_len)
            if mask is not None:
                place_matrix(&call, MASK, &a.mask, mask, FOV_BOOL)
            run(&call, num_threads)
        finally:
            end(&call)

    def combine_weights(self, weights, value, num_threads):
        """Output (..., Hq, Lq, Dv) of weights (..., Hq, Lq, Lk) and value (..., Hkv, Lk, Dv)."""
        cdef Call call
        cdef fov_attention_args *a = &call.args
        self.begin(&call, FOV_STAGE_COMBINE)
        try:
            weights, value = take(&call, WEIGHTS, weights), take(&call, VALUE, value)
            take_sizes(&call, WEIGHTS)
            broadcast_batch(&call)
            check_sizes(&call)
            a.kv_lengths.value = a.kv_len
            place(&call, WEIGHTS, &a.weights, a.n_q_heads, a.q_len, a.kv_len)
            place(&call, VALUE, &a.value, a.n_kv_heads, a.kv_len, a.value_dim, call.blhd)
            output = create(&call, OUTPUT, result_shape(&call, a.value_dim, call.blhd), value.dtype)
            place(&call, OUTPUT, &a.output, a.n_q_heads, a.q_len, a.value_dim, call.blhd)
            run(&call, num_threads)
            return output
        finally:
            end(&call)
