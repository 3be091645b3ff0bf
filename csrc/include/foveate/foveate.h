/* foveate: attention on CPUs. The public C API: C99, no Python, no intrinsics, no OpenMP.
 *
 *     logits  = mask(softcap(score(query, key) * scale) + bias)
 *     weights = activation(logits)
 *     output  = combine(weights, value)
 *
 * One struct says everything about a call. Set it to zero bytes, then set what differs: 0 and NULL mean "absent" or "off", but
 * for size, stages, the sizes, scale, both window fields (FOV_OPEN) and kv_lengths.value (kv_len). Eight heads of 128 queries and
 * keys of 64 numbers, contiguous (head, row, column), causal:
 *
 *     fov_attention_args args;
 *     memset(&args, 0, sizeof args);
 *     args.size = sizeof args;
 *     args.stages = FOV_STAGE_ALL;
 *     args.score = FOV_SCORE_SCALED_DOT;
 *     args.activation = FOV_ACTIVATION_SOFTMAX;
 *     args.combine = FOV_COMBINE_WEIGHTED_SUM;
 *     args.dtype = FOV_F32;
 *     args.n_q_heads = args.n_kv_heads = 8;
 *     args.q_len = args.kv_len = args.kv_lengths.value = 128;
 *     args.head_dim = args.value_dim = 64;
 *     args.query = (fov_array){query, NULL, 128 * 64 * 4, 64 * 4, 4, FOV_F32};     key, value and output likewise
 *     args.scale = 0.125;
 *     args.window_left = FOV_OPEN;                                                 window_right = 0 is causal
 *     size_t size;
 *     fov_status status = fov_workspace_size(&args, &size);
 *     if (status == FOV_OK) status = fov_attention(&args, workspace, size);        workspace: any `size` bytes of yours
 *     if (status != FOV_OK) puts(fov_last_problem());
 *
 * Memory.  Nothing here allocates, prints or aborts; only the pool of threads is made once, by the first call that uses it. The
 *          workspace needs no alignment and no initial values; whoever repeats a call keeps it. No pointer is kept after a call.
 * Errors.  A status other than FOV_OK and FOV_CANCELLED comes before anything is computed: no output has been touched.
 *          fov_last_problem() names the argument, what came, and what was expected.
 * Threads. Every function may be called from any number of threads at a time; calls need workspaces and outputs of their own.
 *          Results have the same bits for any number of threads.
 * ABI.     Append-only from here on. Enumerators keep their numbers, fields their places; new fields come last and 0 leaves them
 *          unused. A program with an older header runs on a newer library; with a newer header on an older library, until it uses
 *          a field that the library does not know, which is an error. Private names begin with fov_ too: use what stands here.
 */
#ifndef FOVEATE_FOVEATE_H
#define FOVEATE_FOVEATE_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define FOV_API __attribute__((visibility("default")))
#else
#define FOV_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum fov_status {
    FOV_OK = 0,
    FOV_ERROR_ARGUMENT = 1,        /* a field of the arguments is out of range */
    FOV_ERROR_OVERFLOW = 2,        /* a product of sizes does not fit into 63 bits */
    FOV_ERROR_WORKSPACE = 3,       /* the workspace is NULL or too small */
    FOV_ERROR_ISA_UNKNOWN = 4,     /* FOVEATE_ISA or fov_set_isa names no ISA of this build */
    FOV_ERROR_ISA_UNAVAILABLE = 5, /* this CPU or operating system cannot run that ISA */
    FOV_ERROR_UNSUPPORTED = 6,     /* the mode does not offer what was asked for (lse, sinks) */
    FOV_CANCELLED = 7              /* *cancel became non-zero; the results are undefined */
} fov_status;

/* Storage types. f16 (IEEE binary16) and bf16 (the upper half of an f32) are widened to f32, computed in f32, and rounded once
 * where they are stored. FOV_BOOL (one byte, non-zero is true) is for masks; FOV_INT8 and FOV_F8_E4M3 (one byte: 4 bits of exponent,
 * 3 of fraction, no infinity, "e4m3fn") are for keys and values that come with scales. */
typedef enum fov_dtype {
    FOV_F32 = 0,
    FOV_F64 = 1,
    FOV_F16 = 2,
    FOV_BF16 = 3,
    FOV_BOOL = 4,
    FOV_INT8 = 5,
    FOV_F8_E4M3 = 6
} fov_dtype;

/* Which stages run. All three make attention; one alone reads or writes the Lq x Lk matrix itself:
 * SCORE writes `logits`; ACTIVATION reads `logits` and writes `weights`; COMBINE reads `weights`. */
enum { FOV_STAGE_SCORE = 1, FOV_STAGE_ACTIVATION = 2, FOV_STAGE_COMBINE = 4, FOV_STAGE_ALL = 7 };

/* The stages by name, for args.score, .activation and .combine; docs/modes.md has their formulas. fov_score_name(index) and its
 * sisters give the same names as text. */
enum {
    FOV_SCORE_DOT = 0,
    FOV_SCORE_SCALED_DOT = 1, /* the same as DOT: the caller's scale says head_dim^-1/2 */
    FOV_SCORE_ADDITIVE = 2,   /* sum_d v_d tanh(a_d + b_d), a = query w_q, b = key w_k */
    FOV_SCORE_BILINEAR = 3,   /* query W key, W in score_w_q */
    FOV_SCORE_COSINE = 4      /* temperature: divide the scale by it */
};
enum {
    FOV_ACTIVATION_SOFTMAX = 0,
    FOV_ACTIVATION_SIGMOID = 1,
    FOV_ACTIVATION_SOFTMAX1 = 2, /* softmax with one more logit, 0, that has no value */
    FOV_ACTIVATION_RELU = 3,
    FOV_ACTIVATION_RELU2 = 4, /* max(x, 0)^2 */
    FOV_ACTIVATION_TANH = 5,
    FOV_ACTIVATION_IDENTITY = 6,
    FOV_ACTIVATION_SPARSEMAX = 7, /* entmax with alpha = 2 */
    FOV_ACTIVATION_ENTMAX15 = 8,
    FOV_ACTIVATION_ENTMAX = 9,
    FOV_ACTIVATION_TOPK = 10 /* softmax over the top_k largest logits */
};
enum {
    FOV_COMBINE_WEIGHTED_SUM = 0,
    FOV_COMBINE_PRODUCT = 1, /* weight_ij value_j, not summed */
    FOV_COMBINE_SELECT = 2   /* the sum over the select_k largest weights, renormalised */
};

/* A strided view (batch..., head, row, column); strides in bytes, any sign, 0 broadcasts: a bias for all heads has head_bytes 0.
 * data == NULL: the array is absent. The data may be misaligned. Strides are below 2^47. An array that is written must not overlap
 * any other, nor its elements each other. `dtype` is read for lse, key_stats, mask, bias and the scales; the others have that of
 * the call. */
typedef struct fov_array {
    void *data;
    const int64_t *batch_bytes; /* one stride per batch axis */
    int64_t head_bytes, row_bytes, column_bytes;
    int32_t dtype; /* fov_dtype */
} fov_array;

/* One int64 per batch element, with its strides in bytes. data == NULL: absent, `value` holds for all. */
typedef struct fov_per_batch {
    const int64_t *data;
    const int64_t *batch_bytes;
    int64_t value;
} fov_per_batch;

/* A learnt parameter of the score: float, or double for FOV_F64, contiguous along the last axis.
 * data == NULL: absent, else aligned to its type. Strides in elements; head_elements = 0: the same for every query head. */
typedef struct fov_parameter {
    const void *data;
    int64_t head_elements, row_elements;
} fov_parameter;

/* Per-key totals of the weights over the queries. */
enum { FOV_KEY_STATS_NONE = 0, FOV_KEY_STATS_SUM = 1, FOV_KEY_STATS_MAX = 2 };

/* How exact f32 products have to be, relative to the sum of their sizes: as f32; to 5e-5, seen 2e-6; to 2^-7, as bf16 inputs are. Where there are
 * no tile registers, or a call does not fill them, all three are FOV_PRECISION_HIGHEST. Other dtypes have their own precision. */
typedef enum fov_precision { FOV_PRECISION_HIGHEST = 0, FOV_PRECISION_HIGH = 1, FOV_PRECISION_MEDIUM = 2 } fov_precision;

/* A part of the logits of one query head, for a modifier: element (query i, key j) at logits[i * query_stride + j * key_stride],
 * float, or double for FOV_F64. They are scaled, capped and biased already; masks follow. Strides in elements. */
typedef struct fov_logits_tile {
    void *logits;
    int64_t n_queries, n_keys, query_stride, key_stride;
    int64_t batch; /* index of the batch element, batch axes flattened */
    int64_t head;  /* query head */
    int64_t first_query, first_key;
    int32_t dtype; /* FOV_F32 or FOV_F64 */
} fov_logits_tile;

/* Changes logits in place; called from several threads at a time. Writing -infinity masks a key. */
typedef void (*fov_modifier_fn)(const fov_logits_tile *tile, void *user);

/* 0: no query of the tile attends any of its keys, so that it need not be computed; else 1. `logits` is NULL. */
typedef int (*fov_tile_mask_fn)(const fov_logits_tile *tile, void *user);

/* Runs task(task_context, i, thread) for i in [0, n_tasks), each once, on at most n_threads threads at a time, and returns when all
 * have ended. `thread` is in [0, n_threads) and not shared by two tasks that run at the same time. */
typedef void (*fov_host_task_fn)(void *task_context, int64_t task, int thread);
typedef void (*fov_parallel_for_fn)(void *host, int64_t n_tasks, int n_threads, fov_host_task_fn task, void *task_context);

/* What a call did, added up over its tasks; for tests and for the curious. */
typedef struct fov_stats {
    int64_t tiles_computed; /* tiles of logits that ran the score stage */
    int64_t tiles_dead;     /* tiles that no row attends: causal, window, length or mask; never computed */
    int32_t n_threads;      /* threads that the call asked for */
    int32_t few_rows;       /* 1: the orientation for few query rows (decode), 0: queries in the lanes */
} fov_stats;

#define FOV_OPEN INT64_MAX /* an open side of the window */

/* The comments say the shape of each array; lengths of 0 are allowed everywhere. Query head h reads key and value head
 * h / (n_q_heads / n_kv_heads): n_q_heads is a multiple of n_kv_heads, 1 of these is multi-query attention.
 *
 * Masking: a logit of -infinity has weight 0 and its value is not read into the row, even where it is NaN; whatever put it there:
 * mask, bias, window, kv_lengths or the modifier. A row that attends nothing has output 0 and lse -infinity. */
typedef struct fov_attention_args {
    size_t size; /* sizeof(fov_attention_args): lets old callers meet newer libraries */

    int32_t stages;                     /* FOV_STAGE_ALL or one stage */
    int32_t score, activation, combine; /* FOV_SCORE_..., FOV_ACTIVATION_..., FOV_COMBINE_... */
    int32_t dtype;                      /* fov_dtype of query, key, value, output, logits, weights */
    int32_t n_threads;                  /* <= 0: the default; more than there are is capped */

    int32_t n_batch_axes;
    const int64_t *batch_shape;
    int64_t n_q_heads, n_kv_heads, q_len, kv_len, head_dim, value_dim;

    fov_array query;   /* (batch, n_q_heads,  q_len,  head_dim)  */
    fov_array key;     /* (batch, n_kv_heads, kv_len, key_dim)   */
    fov_array value;   /* (batch, n_kv_heads, kv_len, value_dim) */
    fov_array output;  /* (batch, n_q_heads,  q_len,  value_dim); product: (..., q_len, kv_len, value_dim) */
    fov_array lse;     /* (batch, n_q_heads,  q_len): natural log of the sum of exponentials; f32, f64 for f64; optional;
                        * softmax and softmax1 only (fov_activation_has_lse); column_bytes unused */
    fov_array weights; /* (batch, n_q_heads,  q_len,  kv_len); optional: written by the activation, read by COMBINE alone */
    fov_array logits;  /* (batch, n_q_heads,  q_len,  kv_len); written by SCORE alone, read by ACTIVATION alone */
    fov_array mask;    /* (batch, n_q_heads,  q_len,  kv_len) FOV_BOOL, true = attend; optional */
    fov_array bias;    /* (batch, n_q_heads,  q_len,  kv_len) any float type; optional */

    double scale;   /* multiplies the score; any finite value */
    double softcap; /* c: logits become c tanh(logits / c); 0 = none */

    /* Row i stands at key position p = i + q_offset and sees p - window_left <= j <= p + window_right.
     * Causal is window_right = 0. FOV_OPEN leaves a side open. */
    int64_t window_left, window_right;
    fov_per_batch q_offset;
    fov_per_batch kv_lengths; /* keys at and beyond it do not exist; value = kv_len when absent */

    const double *sinks;        /* softmax: n_q_heads extra logits without a value; NULL = none */
    const double *alibi_slopes; /* n_q_heads slopes m: adds m (j - p); NULL = none */

    fov_stats *stats; /* NULL = do not count */

    int64_t key_dim;          /* columns of key; 0 = head_dim. Another number needs score_w_q or score_w_k */
    int64_t score_dim; /* columns of score_w_q and score_w_k, length of score_v; 0 = head_dim without, key_dim with score_w_q */
    fov_parameter score_w_q; /* additive, bilinear: (head_dim, score_dim), multiplied from the right; optional for additive */
    fov_parameter score_w_k; /* additive: (key_dim, score_dim); optional */
    fov_parameter score_v; /* additive: (score_dim); absent = ones */
    double sigmoid_bias; /* sigmoid: added to the logits */
    double entmax_alpha; /* entmax: > 1 */
    int64_t top_k; /* topk: >= 1 */
    int64_t select_k; /* select: >= 1 */
    double select_temperature; /* select: > 0 */
    int64_t output_key_bytes; /* product: from key to key of the output */
    int32_t key_stats_kind; /* FOV_KEY_STATS_NONE, _SUM or _MAX */
    fov_array key_stats; /* (batch, n_q_heads, kv_len): f32, f64 for f64; over the queries; row_bytes unused; optional */

    fov_modifier_fn modifier;   /* NULL = none */
    void *modifier_user;
    fov_tile_mask_fn tile_mask; /* NULL = none */
    void *tile_mask_user;
    const volatile int32_t *cancel; /* polled before every tile; NULL = never */
    fov_parallel_for_fn parallel_for; /* the caller's own threads, n_threads of them; NULL = those of foveate */
    void *parallel_for_host;

    int32_t kv_dtype; /* of key and value: 0 = dtype; FOV_INT8 or FOV_F8_E4M3: row j stands for scale_j times its elements */
    fov_array k_scale, v_scale; /* (batch, n_kv_heads, kv_len) FOV_F32, with kv_dtype; column_bytes unused; absent = ones */

    int32_t precision; /* fov_precision, of FOV_F32 */
} fov_attention_args;

/* Two states of the same rows over different keys joined into one, as after split keys or a shared prefix:
 * output (n_rows, dim) and lse (n_rows) of softmax; all contiguous, `into` may be `a` or `b`. A row with lse -infinity adds nothing. */
typedef struct fov_state {
    void *output; /* f32, or f64 */
    void *lse;    /* the same type */
} fov_state;

/* The bytes of workspace for these arguments, O(threads * head_dim + q_len + kv_len), never q_len * kv_len, beside
 * 2 MiB at most for the bits of a mask that heads or batch elements share; or, with *size = 0,
 * the status that fov_attention would return for them. */
FOV_API fov_status fov_workspace_size(const fov_attention_args *args, size_t *size);
/* Computes. With a workspace for fewer threads than n_threads, fewer work. */
FOV_API fov_status fov_attention(const fov_attention_args *args, void *workspace, size_t workspace_size);
FOV_API fov_status fov_merge(int32_t dtype, int64_t n_rows, int64_t dim, const fov_state *a, const fov_state *b,
                             const fov_state *into);
/* What a status means, in words; never NULL. */
FOV_API const char *fov_status_string(fov_status status);
/* Which argument was wrong and why, for the last call of this thread that returned an error; "" if there was none. */
FOV_API const char *fov_last_problem(void);

/* The names of the stages by index; NULL beyond the last. */
FOV_API const char *fov_score_name(int index);
FOV_API const char *fov_activation_name(int index);
FOV_API const char *fov_combine_name(int index);
FOV_API int fov_activation_has_lse(int index); /* 1: the activation has an lse */

/* Instruction sets. The best one of this machine is taken by itself; the environment variable FOVEATE_ISA names another.
 * By index, best first; NULL beyond the last compiled one. */
FOV_API const char *fov_isa_name(int index);
FOV_API int fov_isa_available(int index); /* 1: this machine can run it */
FOV_API fov_status fov_set_isa(const char *name); /* NULL or "auto": the best one, or FOVEATE_ISA */
FOV_API fov_status fov_get_isa(const char **name); /* the one in use; errors of FOVEATE_ISA appear here */
FOV_API const char *fov_cpu_features(void); /* what was detected, space-separated */
FOV_API const char *fov_amx_state(void); /* "absent", "present, not asked for yet", "in use", ... */

/* Threads. The default is the smallest of FOVEATE_NUM_THREADS (or OMP_NUM_THREADS), CPU affinity and cgroup quota. */
FOV_API int fov_get_num_threads(void); /* the default for calls that name no number */
FOV_API void fov_set_num_threads(int n); /* n < 1: back to the automatic choice */
FOV_API int fov_get_available_threads(void); /* min(affinity, cgroup quota) */
FOV_API const char *fov_threads_reason(void); /* why the default is what it is, one line */
FOV_API const char *fov_threading_layer(void); /* "openmp", "pthreads" or "none"; what runs in this process now */

FOV_API const char *fov_version(void);
FOV_API const char *fov_compiler(void);

#ifdef __cplusplus
}
#endif
#endif
