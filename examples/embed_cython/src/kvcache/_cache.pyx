# cython: language_level=3, boundscheck=False
"""A batch of sequences that grow together. Keys and values lie in C memory, never in an array of Python."""

from libc.math cimport sqrt
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from foveate cimport (
    FOV_ACTIVATION_SOFTMAX,
    FOV_COMBINE_WEIGHTED_SUM,
    FOV_F32,
    FOV_OK,
    FOV_OPEN,
    FOV_SCORE_SCALED_DOT,
    FOV_STAGE_ALL,
    fov_array,
    fov_attention,
    fov_attention_args,
    fov_last_problem,
    fov_status,
    fov_workspace_size,
)


cdef class KVCache:
    """Room for `capacity` tokens of `batch` sequences. One object serves one thread at a time."""

    cdef int64_t batch, q_heads, kv_heads, capacity, dim, length
    cdef float *keys    # (batch, kv_heads, capacity, dim)
    cdef float *values
    cdef int64_t query_batch_bytes, cache_batch_bytes
    cdef fov_attention_args args
    cdef void *workspace
    cdef size_t workspace_size

    def __cinit__(self, int64_t batch, int64_t q_heads, int64_t kv_heads, int64_t capacity, int64_t dim):
        if min(batch, q_heads, kv_heads, capacity, dim) < 1:
            raise ValueError("every size must be >= 1")
        self.batch, self.q_heads, self.kv_heads = batch, q_heads, kv_heads
        self.capacity, self.dim = capacity, dim
        self.keys = <float *>calloc(batch * kv_heads * capacity * dim, sizeof(float))
        self.values = <float *>calloc(batch * kv_heads * capacity * dim, sizeof(float))
        if self.keys == NULL or self.values == NULL:
            raise MemoryError("no memory for the cache")

        cdef fov_attention_args *a = &self.args
        memset(a, 0, sizeof(fov_attention_args))  # 0 is "absent" or "off" wherever that is possible
        a.size = sizeof(fov_attention_args)
        a.stages = FOV_STAGE_ALL
        a.score = FOV_SCORE_SCALED_DOT
        a.activation = FOV_ACTIVATION_SOFTMAX
        a.combine = FOV_COMBINE_WEIGHTED_SUM
        a.dtype = FOV_F32
        a.n_threads = 1  # the callers are the threads
        a.n_batch_axes, a.batch_shape = 1, &self.batch
        a.n_q_heads, a.n_kv_heads, a.q_len, a.kv_len = q_heads, kv_heads, 1, capacity
        a.head_dim = a.value_dim = dim
        a.scale = 1 / sqrt(<double>dim)
        a.window_left = a.window_right = FOV_OPEN
        self.query_batch_bytes = q_heads * dim * sizeof(float)
        self.cache_batch_bytes = kv_heads * capacity * dim * sizeof(float)
        self.place(&a.query, NULL, &self.query_batch_bytes, 1)
        self.place(&a.output, NULL, &self.query_batch_bytes, 1)
        self.place(&a.key, self.keys, &self.cache_batch_bytes, capacity)
        self.place(&a.value, self.values, &self.cache_batch_bytes, capacity)

        # kv_len is the capacity and kv_lengths says how much is filled: one workspace serves every step.
        # Its size depends on no pointer, but the check wants some.
        a.query.data = a.output.data = self.keys
        if fov_workspace_size(a, &self.workspace_size) != FOV_OK:
            raise ValueError(fov_last_problem().decode())
        self.workspace = malloc(self.workspace_size)
        if self.workspace == NULL:
            raise MemoryError("no memory for the workspace")

    def __dealloc__(self):
        free(self.keys)
        free(self.values)
        free(self.workspace)

    cdef void place(self, fov_array *array, void *data, int64_t *batch_bytes, int64_t rows) noexcept:
        """Contiguous (batch, heads, rows, dim)."""
        array.data, array.batch_bytes, array.dtype = data, batch_bytes, FOV_F32
        array.column_bytes = sizeof(float)
        array.row_bytes = self.dim * array.column_bytes
        array.head_bytes = rows * array.row_bytes

    cdef void append(self, const float *key, const float *value) noexcept nogil:
        """One more token: rows of `dim` numbers, one for each sequence and head."""
        cdef int64_t row
        for row in range(self.batch * self.kv_heads):
            memcpy(self.keys + (row * self.capacity + self.length) * self.dim, key + row * self.dim,
                   self.dim * sizeof(float))
            memcpy(self.values + (row * self.capacity + self.length) * self.dim, value + row * self.dim,
                   self.dim * sizeof(float))
        self.length += 1

    def decode(self, query, key, value, out):
        """Append key[t], value[t], then write what query[t] attends to out[t], for every step t.

        float32: query, out (steps, batch, q_heads, dim), key, value (steps, batch, kv_heads, dim).
        """
        cdef const float[:, :, :, ::1] queries = query, keys = key, values = value
        cdef float[:, :, :, ::1] outputs = out
        cdef int64_t steps = queries.shape[0], t
        cdef fov_status status = FOV_OK
        q_shape = (steps, self.batch, self.q_heads, self.dim)
        kv_shape = (steps, self.batch, self.kv_heads, self.dim)
        if query.shape != q_shape or out.shape != q_shape or key.shape != kv_shape or value.shape != kv_shape:
            raise ValueError(f"query and out must be {q_shape}, key and value {kv_shape}")
        if steps > self.capacity - self.length:
            raise ValueError(f"{steps} steps do not fit: {self.length} of {self.capacity} tokens are there")
        if steps == 0:
            return
        with nogil:
            for t in range(steps):
                self.append(&keys[t, 0, 0, 0], &values[t, 0, 0, 0])
                self.args.query.data = <void *>&queries[t, 0, 0, 0]
                self.args.output.data = &outputs[t, 0, 0, 0]
                self.args.kv_lengths.value = self.length
                status = fov_attention(&self.args, self.workspace, self.workspace_size)
                if status != FOV_OK:
                    break
        if status != FOV_OK:
            raise RuntimeError(fov_last_problem().decode())
