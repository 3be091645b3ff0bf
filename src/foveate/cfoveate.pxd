"""The public C API for Cython: a transcript of foveate/foveate.h, which is the one truth.

Its functions are those of a linked libfoveate; ``from foveate cimport ...`` has the same without linking.
"""

from libc.stdint cimport int32_t, int64_t

cdef extern from "foveate/foveate.h" nogil:
    ctypedef enum fov_status:
        FOV_OK
        FOV_ERROR_ARGUMENT
        FOV_ERROR_OVERFLOW
        FOV_ERROR_WORKSPACE
        FOV_ERROR_ISA_UNKNOWN
        FOV_ERROR_ISA_UNAVAILABLE
        FOV_ERROR_UNSUPPORTED
        FOV_CANCELLED

    ctypedef enum fov_dtype:
        FOV_F32
        FOV_F64
        FOV_F16
        FOV_BF16
        FOV_BOOL
        FOV_INT8
        FOV_F8_E4M3

    enum:
        FOV_STAGE_SCORE
        FOV_STAGE_ACTIVATION
        FOV_STAGE_COMBINE
        FOV_STAGE_ALL

    enum:
        FOV_SCORE_DOT
        FOV_SCORE_SCALED_DOT
        FOV_SCORE_ADDITIVE
        FOV_SCORE_BILINEAR
        FOV_SCORE_COSINE

    enum:
        FOV_ACTIVATION_SOFTMAX
        FOV_ACTIVATION_SIGMOID
        FOV_ACTIVATION_SOFTMAX1
        FOV_ACTIVATION_RELU
        FOV_ACTIVATION_RELU2
        FOV_ACTIVATION_TANH
        FOV_ACTIVATION_IDENTITY
        FOV_ACTIVATION_SPARSEMAX
        FOV_ACTIVATION_ENTMAX15
        FOV_ACTIVATION_ENTMAX
        FOV_ACTIVATION_TOPK

    enum:
        FOV_COMBINE_WEIGHTED_SUM
        FOV_COMBINE_PRODUCT
        FOV_COMBINE_SELECT

    const int64_t FOV_OPEN

    ctypedef struct fov_array:
        void *data
        const int64_t *batch_bytes
        int64_t head_bytes, row_bytes, column_bytes
        int32_t dtype

    ctypedef struct fov_per_batch:
        const int64_t *data
        const int64_t *batch_bytes
        int64_t value

    ctypedef struct fov_parameter:
        const void *data
        int64_t head_elements, row_elements

    enum:
        FOV_KEY_STATS_NONE
        FOV_KEY_STATS_SUM
        FOV_KEY_STATS_MAX

    ctypedef enum fov_precision:
        FOV_PRECISION_HIGHEST
        FOV_PRECISION_HIGH
        FOV_PRECISION_MEDIUM

    ctypedef struct fov_logits_tile:
        void *logits
        int64_t n_queries, n_keys, query_stride, key_stride
        int64_t batch, head
        int64_t first_query, first_key
        int32_t dtype

    ctypedef void (*fov_modifier_fn)(const fov_logits_tile *tile, void *user) noexcept
    ctypedef int (*fov_tile_mask_fn)(const fov_logits_tile *tile, void *user) noexcept
    ctypedef void (*fov_host_task_fn)(void *task_context, int64_t task, int thread) noexcept
    ctypedef void (*fov_parallel_for_fn)(void *host, int64_t n_tasks, int n_threads, fov_host_task_fn task,
                                         void *task_context) noexcept

    ctypedef struct fov_stats:
        int64_t tiles_computed
        int64_t tiles_dead
        int32_t n_threads
        int32_t few_rows

    ctypedef struct fov_attention_args:
        size_t size
        int32_t stages
        int32_t score, activation, combine
        int32_t dtype
        int32_t n_threads
        int32_t n_batch_axes
        const int64_t *batch_shape
        int64_t n_q_heads, n_kv_heads, q_len, kv_len, head_dim, value_dim
        fov_array query, key, value, output, lse, weights, logits, mask, bias
        double scale, softcap
        int64_t window_left, window_right
        fov_per_batch q_offset, kv_lengths
        const double *sinks
        const double *alibi_slopes
        fov_stats *stats
        int64_t key_dim
        int64_t score_dim
        fov_parameter score_w_q, score_w_k, score_v
        double sigmoid_bias
        double entmax_alpha
        int64_t top_k
        int64_t select_k
        double select_temperature
        int64_t output_key_bytes
        int32_t key_stats_kind
        fov_array key_stats
        fov_modifier_fn modifier
        void *modifier_user
        fov_tile_mask_fn tile_mask
        void *tile_mask_user
        const volatile int32_t *cancel
        fov_parallel_for_fn parallel_for
        void *parallel_for_host
        int32_t kv_dtype
        fov_array k_scale, v_scale
        int32_t precision

    ctypedef struct fov_state:
        void *output
        void *lse

    fov_status fov_workspace_size(const fov_attention_args *args, size_t *size) noexcept
    fov_status fov_attention(const fov_attention_args *args, void *workspace, size_t workspace_size) noexcept
    fov_status fov_merge(int32_t dtype, int64_t n_rows, int64_t dim, const fov_state *a, const fov_state *b,
                         const fov_state *into) noexcept
    const char *fov_status_string(fov_status status) noexcept
    const char *fov_last_problem() noexcept

    const char *fov_score_name(int index) noexcept
    const char *fov_activation_name(int index) noexcept
    const char *fov_combine_name(int index) noexcept
    int fov_activation_has_lse(int index) noexcept

    const char *fov_isa_name(int index) noexcept
    int fov_isa_available(int index) noexcept
    fov_status fov_set_isa(const char *name) noexcept
    fov_status fov_get_isa(const char **name) noexcept
    const char *fov_cpu_features() noexcept
    const char *fov_amx_state() noexcept

    int fov_get_num_threads() noexcept
    void fov_set_num_threads(int n) noexcept
    int fov_get_available_threads() noexcept
    const char *fov_threads_reason() noexcept
    const char *fov_threading_layer() noexcept

    const char *fov_version() noexcept
    const char *fov_compiler() noexcept
