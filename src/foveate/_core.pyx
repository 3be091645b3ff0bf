# cython: language_level=3, auto_pickle=False, autotestdict=False, embedsignature=False
"""The binding: NumPy arrays in, one call of the C library without the GIL, NumPy arrays out.

Arrays come in through the buffer protocol (about 40 ns each, a typed memoryview takes 500) and are never
copied. What a Mode fixes is in a Plan, so that a call only checks arrays. Words for refusals that need
more than a line, and conversions off the fast path, are in `_validate`.
"""

cimport cython
from cpython.buffer cimport PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_Clear
from cpython.object cimport PyObject, PyTypeObject
from cpython.pycapsule cimport (
    PyCapsule_GetContext,
    PyCapsule_GetName,
    PyCapsule_GetPointer,
    PyCapsule_New,
)
from cpython.ref cimport Py_INCREF
from libc.math cimport sqrt
from libc.stdint cimport int64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset

from foveate.cfoveate cimport *

import inspect
import sys
from types import NoneType

import numpy as np

from foveate import _validate
from foveate._result import AttentionResult

cdef enum:
    MAX_AXES = 64  # NumPy's own limit

cdef enum:  # slots of a Call
    QUERY, KEY, VALUE, OUTPUT, LSE, WEIGHTS, LOGITS, MASK, BIAS, KV_LENGTHS, Q_OFFSET, ALIBI_SLOPES, SINKS
    KEY_STATS, PARAMETER_V, PARAMETER_W_Q, PARAMETER_W_K, K_SCALE, V_SCALE
    N_SLOTS

cdef enum:  # alignments of queries and keys; mode.py has the same list
    UNBOUNDED, EQUAL_LENGTHS, TOP_LEFT, BOTTOM_RIGHT

cdef tuple NAMES = (
    "query", "key", "value", "out", "lse", "weights", "logits", "mask", "bias", "kv_lengths", "q_offset",
    "alibi_slopes", "sinks", "key_stats", "v", "w_q", "w_k", "k_scale", "v_scale",
)
cdef object ndarray = np.ndarray
cdef object empty = np.empty
cdef object F32 = np.dtype(np.float32)
cdef object F64 = np.dtype(np.float64)
cdef object F16 = np.dtype(np.float16)
cdef object BF16 = None  # the dtype of ml_dtypes, once one has come in
cdef object BOOL = np.dtype(np.bool_)
cdef object UINT8 = np.dtype(np.uint8)
cdef object UINT16 = np.dtype(np.uint16)
cdef char NOTHING = 0  # what an array without elements may point to: NULL means absent

include "_arrays.pxi"
include "_callbacks.pxi"
include "_running.pxi"
include "_repeated.pxi"
include "_library.pxi"
include "_embedding.pxi"


@cython.final
cdef class Plan:
    """What a Mode fixes, checked once. ``alignment``: the enum above; -1 leaves a side of the window open.

    ``learnt``: the score as an object with arrays, or None.
    """

    cdef int score, activation, combine, alignment, precision
    cdef double scale, softcap, sigmoid_bias, entmax_alpha, select_temperature
    cdef bint scale_by_dim, blhd, offset_allowed, product, takes_sinks
    cdef int64_t left, right, top_k, select_k
    cdef object learnt
    cdef Problem problem  # of the last call without options, and what its output is made of
    cdef object dtype
    cdef tuple output

    def __init__(self, int score, int activation, int combine, scale, double softcap, int alignment,
                 bint offset_allowed, int64_t left, int64_t right, bint blhd, int precision, learnt,
                 double sigmoid_bias, double entmax_alpha, int64_t top_k, int64_t select_k,
                 double select_temperature):
        self.score, self.activation, self.combine = score, activation, combine
        self.scale_by_dim = scale is None
        self.scale = 1.0 if scale is None else scale
        self.softcap = softcap
        self.alignment = alignment
        self.offset_allowed = offset_allowed
        self.left = FOV_OPEN if left < 0 else left
        self.right = FOV_OPEN if right < 0 else right
        self.blhd = blhd
        self.precision = precision
        self.learnt = learnt
        self.sigmoid_bias, self.entmax_alpha, self.top_k = sigmoid_bias, entmax_alpha, top_k
        self.select_k, self.select_temperature = select_k, select_temperature
        self.product = combine_names[combine] == "product"
        self.takes_sinks = activation_names[activation] == "softmax"

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
        call.args.precision = self.precision
        call.args.dtype = -1
        call.args.scale = 1.0
        call.args.window_left = call.args.window_right = FOV_OPEN
        call.args.sigmoid_bias, call.args.entmax_alpha = self.sigmoid_bias, self.entmax_alpha
        call.args.top_k, call.args.select_k = self.top_k, self.select_k
        call.args.select_temperature = self.select_temperature

    cdef int set_score(self, Call *call) except -1:
        """Scale and softcap, and the learnt arrays of the score, which query and key must fit."""
        cdef fov_attention_args *a = &call.args
        a.scale = self.scale
        if self.scale_by_dim and a.head_dim > 0:
            a.scale = 1.0 / sqrt(<double>a.head_dim)
        a.softcap = self.softcap
        if self.learnt is not None:
            a.score_dim = self.learnt.check_sizes(a.n_q_heads, a.head_dim, a.key_dim)
            place_parameters(call, self.learnt.parameters(F64 if a.dtype == FOV_F64 else F32))
        return 0

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

    cdef object call(self, PyObject **arrays, PyObject **options):
        """A call of borrowed arrays and `CALL_OPTIONS`. Without options, but out, it may be a repetition."""
        cdef PyObject **o = options
        cdef int k
        cdef bint bare = o[N_CALL - 1] == <PyObject *>None
        for k in range(OUT):
            bare = bare and o[k] == CALL.defaults[N_ARRAYS + k]
        if bare and self.problem.known and not counting and fail_after < 0:
            out = <object>o[OUT]
            result = self.repeat(<object>arrays[0], <object>arrays[1], <object>arrays[2], out)
            if result is not None:
                return result
        return self.attention(
            <object>arrays[0], <object>arrays[1], <object>arrays[2], <object>o[0], <object>o[1], <object>o[2],
            <object>o[3], <object>o[4], <object>o[5], <object>o[6], <object>o[7], <object>o[8], <object>o[9],
            <object>o[10], <object>o[11], <object>o[12], <object>o[13], <object>o[14], bare)

    cdef object repeat(self, query, key, value, out):
        """The output, or None where this is another problem, or one with an error to word."""
        cdef Problem *p = &self.problem
        cdef object dtype = self.dtype
        cdef int64_t version = p.version
        cdef int k, held = 0
        cdef Py_buffer b[4]
        if (type(query) is not ndarray or type(key) is not ndarray or type(value) is not ndarray
                or query.dtype is not dtype or key.dtype is not dtype or value.dtype is not dtype):
            return None
        if out is None:  # first: collecting garbage runs anything, also calls of this Plan
            out = empty(*self.output)
            if p.version != version:
                return None
        elif type(out) is not ndarray or out.dtype is not dtype:
            return None
        try:
            held = get_buffers(b, query, key, value, out)
            if held < 4 or not is_problem(p, b):
                return None
            run_problem(p, b)
            return out
        finally:
            for k in range(held):
                PyBuffer_Release(&b[k])

    cdef object attention(self, query, key, value, k_scale, v_scale, mask, bias, alibi_slopes, sinks,
                          kv_lengths, q_offset, modifier, tile_mask, bint return_lse, bint return_weights,
                          key_stats, out, num_threads, bint bare):
        cdef Call call
        self.begin(&call, FOV_STAGE_ALL)
        try:
            result = self.fused(&call, query, key, value, k_scale, v_scale, mask, bias, alibi_slopes, sinks,
                                kv_lengths, q_offset, modifier, tile_mask, return_lse, return_weights,
                                key_stats, out, num_threads)
            if bare and self.learnt is None:
                self.keep(&call, result)
            return result
        finally:
            end(&call)

    cdef int keep(self, Call *call, object output) except -1:
        cdef object dtype = output.dtype
        cdef tuple arguments = (output.shape, dtype)
        keep_problem(&self.problem, call)
        self.dtype, self.output = dtype, arguments  # frees the old ones last: that may run anything
        return 0

    cdef object fused(self, Call *call, query, key, value, k_scale, v_scale, mask, bias, alibi_slopes, sinks,
                      kv_lengths, q_offset, modifier, tile_mask, bint return_lse, bint return_weights,
                      key_stats, out, num_threads):
        cdef fov_attention_args *a = &call.args
        cdef object lse = None, weights = None, stats = None
        cdef object real
        query, key, value = take(call, QUERY, query), take(call, KEY, key), take(call, VALUE, value)
        cdef object dtype = query.dtype
        take_sizes(call, QUERY, self.learnt is not None)
        broadcast_batch(call)
        check_sizes(call, self.product)
        self.set_score(call)
        self.set_positions(call, kv_lengths, q_offset)
        place(call, QUERY, &a.query, a.n_q_heads, a.q_len, a.head_dim, call.blhd)
        place(call, KEY, &a.key, a.n_kv_heads, a.kv_len, a.key_dim, call.blhd)
        place(call, VALUE, &a.value, a.n_kv_heads, a.kv_len, a.value_dim, call.blhd)
        if k_scale is not None:
            k_scale = place_scale(call, K_SCALE, &a.k_scale, k_scale)
        if v_scale is not None:
            v_scale = place_scale(call, V_SCALE, &a.v_scale, v_scale)
        if mask is not None:
            if type(mask) is not ndarray or mask.dtype is not BOOL:
                mask = _validate.mask(mask)
            place_matrix(call, MASK, &a.mask, mask, FOV_BOOL)
        if bias is not None:
            if type(bias) is not ndarray or code_of(bias.dtype) < 0:
                bias = _validate.bias(bias)
            place_matrix(call, BIAS, &a.bias, bias, code_of(bias.dtype))
        if modifier is not None or tile_mask is not None:
            place_callbacks(a, modifier, tile_mask)
        if return_lse and not fov_activation_has_lse(self.activation):
            _validate.refuse_lse(activation_names[self.activation])
        if sinks is not None and not self.takes_sinks:
            _validate.refuse_sinks(activation_names[self.activation])
        if key_stats is not None:
            a.key_stats_kind = _validate.key_stats(key_stats)
        if alibi_slopes is not None:
            acquire(call, ALIBI_SLOPES, _validate.per_head("alibi_slopes", alibi_slopes, a.n_q_heads))
            a.alibi_slopes = <const double *>call.buffers[ALIBI_SLOPES].buf
        if sinks is not None:
            acquire(call, SINKS, _validate.per_head("sinks", sinks, a.n_q_heads))
            a.sinks = <const double *>call.buffers[SINKS].buf

        cdef tuple shape = output_shape(call, self.product)
        if out is None:
            out = create(call, OUTPUT, shape, dtype)
        else:
            take_out(call, out, shape, dtype, (query, key, value, mask, bias, k_scale, v_scale))
        place_output(call, self.product)
        if not (return_lse or return_weights or a.key_stats_kind):
            run(call, num_threads)
            return out
        real = F64 if a.dtype == FOV_F64 else F32
        if return_lse:
            lse = create(call, LSE, result_shape(call, 1, False)[:-1], real)
            place(call, LSE, &a.lse, a.n_q_heads, a.q_len, 1, False, 1)
            a.lse.dtype = FOV_F64 if a.dtype == FOV_F64 else FOV_F32
        if return_weights:
            weights = create(call, WEIGHTS, result_shape(call, a.kv_len, False), dtype)
            place(call, WEIGHTS, &a.weights, a.n_q_heads, a.q_len, a.kv_len)
        if a.key_stats_kind:
            stats = create(call, KEY_STATS, result_shape(call, a.kv_len, False)[:-2] + (a.kv_len,), real)
            place(call, KEY_STATS, &a.key_stats, a.n_q_heads, a.kv_len, 1, False, 1)
            a.key_stats.column_bytes, a.key_stats.row_bytes = a.key_stats.row_bytes, 0
            a.key_stats.dtype = FOV_F64 if a.dtype == FOV_F64 else FOV_F32
        run(call, num_threads)
        return AttentionResult(out, lse, weights, stats)

    def scores(self, query, key, num_threads):
        """Logits (..., Hq, Lq, Lk)."""
        cdef Call call
        cdef fov_attention_args *a = &call.args
        self.begin(&call, FOV_STAGE_SCORE)
        try:
            query, key = take(&call, QUERY, query), take(&call, KEY, key)
            take_sizes(&call, QUERY, self.learnt is not None)
            broadcast_batch(&call)
            check_sizes(&call)
            self.set_score(&call)
            a.kv_lengths.value = a.kv_len
            place(&call, QUERY, &a.query, a.n_q_heads, a.q_len, a.head_dim, call.blhd)
            place(&call, KEY, &a.key, a.n_kv_heads, a.kv_len, a.key_dim, call.blhd)
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
            check_sizes(&call, self.product)
            a.kv_lengths.value = a.kv_len
            place(&call, WEIGHTS, &a.weights, a.n_q_heads, a.q_len, a.kv_len)
            place(&call, VALUE, &a.value, a.n_kv_heads, a.kv_len, a.value_dim, call.blhd)
            output = create(&call, OUTPUT, output_shape(&call, self.product), value.dtype)
            place_output(&call, self.product)
            run(&call, num_threads)
            return output
        finally:
            end(&call)


include "_calling.pxi"
