"""``from foveate cimport fov_attention``: the C API for Cython, documented in foveate/foveate.h.

The functions come from the installed module when the importing extension is loaded, with their signatures
checked; nothing is linked, and the extension shares foveate's threads and settings. Compiling needs the
header: ``-I`` of ``foveate.get_include()``, or ``foveate::headers`` of ``find_package(foveate)``.
"""

from libc.stdint cimport int32_t, int64_t

from foveate.cfoveate cimport (
    FOV_ACTIVATION_ENTMAX,
    FOV_ACTIVATION_ENTMAX15,
    FOV_ACTIVATION_IDENTITY,
    FOV_ACTIVATION_RELU,
    FOV_ACTIVATION_RELU2,
    FOV_ACTIVATION_SIGMOID,
    FOV_ACTIVATION_SOFTMAX,
    FOV_ACTIVATION_SOFTMAX1,
    FOV_ACTIVATION_SPARSEMAX,
    FOV_ACTIVATION_TANH,
    FOV_ACTIVATION_TOPK,
    FOV_BF16,
    FOV_BOOL,
    FOV_INT8,
    FOV_F8_E4M3,
    FOV_CANCELLED,
    FOV_COMBINE_PRODUCT,
    FOV_COMBINE_SELECT,
    FOV_COMBINE_WEIGHTED_SUM,
    FOV_ERROR_ARGUMENT,
    FOV_ERROR_ISA_UNAVAILABLE,
    FOV_ERROR_ISA_UNKNOWN,
    FOV_ERROR_OVERFLOW,
    FOV_ERROR_UNSUPPORTED,
    FOV_ERROR_WORKSPACE,
    FOV_F16,
    FOV_F32,
    FOV_F64,
    FOV_KEY_STATS_MAX,
    FOV_KEY_STATS_NONE,
    FOV_KEY_STATS_SUM,
    FOV_OK,
    FOV_OPEN,
    FOV_PRECISION_HIGH,
    FOV_PRECISION_HIGHEST,
    FOV_PRECISION_MEDIUM,
    FOV_SCORE_ADDITIVE,
    FOV_SCORE_BILINEAR,
    FOV_SCORE_COSINE,
    FOV_SCORE_DOT,
    FOV_SCORE_SCALED_DOT,
    FOV_STAGE_ACTIVATION,
    FOV_STAGE_ALL,
    FOV_STAGE_COMBINE,
    FOV_STAGE_SCORE,
    fov_array,
    fov_attention_args,
    fov_dtype,
    fov_host_task_fn,
    fov_logits_tile,
    fov_modifier_fn,
    fov_parallel_for_fn,
    fov_parameter,
    fov_per_batch,
    fov_precision,
    fov_state,
    fov_stats,
    fov_status,
    fov_tile_mask_fn,
)

cdef:
    fov_status fov_workspace_size(const fov_attention_args *args, size_t *size) noexcept nogil
    fov_status fov_attention(const fov_attention_args *args, void *workspace,
                             size_t workspace_size) noexcept nogil
    fov_status fov_merge(int32_t dtype, int64_t n_rows, int64_t dim, const fov_state *a, const fov_state *b,
                         const fov_state *into) noexcept nogil
    const char *fov_status_string(fov_status status) noexcept nogil
    const char *fov_last_problem() noexcept nogil

    const char *fov_score_name(int index) noexcept nogil
    const char *fov_activation_name(int index) noexcept nogil
    const char *fov_combine_name(int index) noexcept nogil
    int fov_activation_has_lse(int index) noexcept nogil

    const char *fov_isa_name(int index) noexcept nogil
    int fov_isa_available(int index) noexcept nogil
    fov_status fov_set_isa(const char *name) noexcept nogil
    fov_status fov_get_isa(const char **name) noexcept nogil
    const char *fov_cpu_features() noexcept nogil
    const char *fov_amx_state() noexcept nogil

    int fov_get_num_threads() noexcept nogil
    void fov_set_num_threads(int n) noexcept nogil
    int fov_get_available_threads() noexcept nogil
    const char *fov_threads_reason() noexcept nogil
    const char *fov_threading_layer() noexcept nogil

    const char *fov_version() noexcept nogil
    const char *fov_compiler() noexcept nogil
