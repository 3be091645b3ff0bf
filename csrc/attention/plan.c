#include "attention/plan.h"

#include "parallel/parallel.h"

enum {
    FEW_ROWS = 8,             /* up to here every K row is read once for all rows with vectors along head_dim: memory bound */
    FEW_ROWS_TILE_KEYS = 256, /* 8 rows x 256 keys of f32: 8 KiB of logits */
    FEW_ROWS_CHUNK = 512,     /* keys per task; 1024 where there are many, to merge less */
    LONG_KV = 32768,
    SPLIT_KV = 8192,
    TASKS_PER_THREAD = 4, /* at the end a thread waits for a quarter of its share at most */
    SPLIT_CHUNK = 4096 /* a single task of many rows is split only when its keys are many */
};
/* Less than about 40 us does not pay for a second thread: at 50 multiply-adds (100 GFLOP/s) or 25 bytes of K and V a nanosecond. */
static const double SERIAL_NS = 40000, MACS_PER_NS = 50, BYTES_PER_NS = 25;

/* a * b, or -1 when a factor is -1 or the product leaves 62 bits. */
static int64_t product(int64_t a, int64_t b)
{
    if (a < 0 || b < 0) return -1;
    if (a && b > (INT64_MAX >> 1) / a) return -1;
    return a * b;
}

static size_t aligned(int64_t bytes) { return ((size_t)bytes + 63) & ~(size_t)63; }

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

static int needs(const fov_attention_args *a, int stage) { return (a->stages & stage) != 0; }

static fov_status check(const fov_attention_args *a)
{
    if (!a || a->size < sizeof *a) return FOV_ERROR_ARGUMENT;
    if (a->stages != FOV_STAGE_ALL && a->stages != FOV_STAGE_SCORE && a->stages != FOV_STAGE_ACTIVATION &&
        a->stages != FOV_STAGE_COMBINE)
        return FOV_ERROR_ARGUMENT;
    if (a->score < 0 || a->score >= FOV_N_SCORES || a->activation < 0 || a->activation >= FOV_N_ACTIVATIONS || a->combine < 0 ||
        a->combine >= FOV_N_COMBINES || a->dtype < 0 || a->dtype >= FOV_N_DTYPES)
        return FOV_ERROR_ARGUMENT;
    if (a->n_batch_axes < 0 || (a->n_batch_axes && !a->batch_shape) || a->n_q_heads < 0 || a->n_kv_heads < 0 || a->q_len < 0 ||
        a->kv_len < 0 || a->head_dim < 0 || a->value_dim < 0)
        return FOV_ERROR_ARGUMENT;
    if (a->n_kv_heads ? a->n_q_heads % a->n_kv_heads != 0 : a->n_q_heads != 0) return FOV_ERROR_ARGUMENT;
    if (!(a->scale - a->scale == 0) || !(a->softcap >= 0) || a->softcap - a->softcap != 0) return FOV_ERROR_ARGUMENT;
    if (a->window_left < 0 || a->window_right < 0) return FOV_ERROR_ARGUMENT;
    if (a->mask.data && a->mask.dtype != FOV_BOOL) return FOV_ERROR_ARGUMENT;
    if (a->bias.data && (a->bias.dtype < 0 || a->bias.dtype >= FOV_N_DTYPES)) return FOV_ERROR_ARGUMENT;

    int rows = a->n_q_heads && a->q_len, keys = a->n_kv_heads && a->kv_len;
    if (needs(a, FOV_STAGE_SCORE) && a->head_dim && ((rows && !a->query.data) || (keys && !a->key.data)))
        return FOV_ERROR_ARGUMENT;
    if (needs(a, FOV_STAGE_COMBINE) && a->value_dim && ((keys && !a->value.data) || (rows && !a->output.data)))
        return FOV_ERROR_ARGUMENT;
    if (a->stages == FOV_STAGE_SCORE && rows && keys && !a->logits.data) return FOV_ERROR_ARGUMENT;
    if (a->stages == FOV_STAGE_ACTIVATION && rows && keys && (!a->logits.data || !a->weights.data)) return FOV_ERROR_ARGUMENT;
    if (a->stages == FOV_STAGE_COMBINE && rows && keys && !a->weights.data) return FOV_ERROR_ARGUMENT;

    /* bounds every count of rows, weights and tasks; axes of length 0 count as 1 so that no partial product overflows either */
    int64_t n = product(product(a->n_q_heads + !a->n_q_heads, a->q_len + !a->q_len), a->kv_len + !a->kv_len);
    for (int i = 0; i < a->n_batch_axes; i++) n = product(n, a->batch_shape[i] + !a->batch_shape[i]);
    if (n < 0 || a->head_dim > INT32_MAX || a->value_dim > INT32_MAX) return FOV_ERROR_OVERFLOW;
    return FOV_OK;
}

static fov_status choose_kernels(const fov_attention_args *a, fov_plan *p)
{
    p->kernels = a->dtype == FOV_F64 ? p->isa->f64 : p->isa->f32;
    p->activation = &p->kernels->activation[a->activation];
    p->moves = &p->kernels->moves[a->dtype];
    if (needs(a, FOV_STAGE_ACTIVATION) && ((a->lse.data && !p->activation->has_lse) || (a->sinks && !p->activation->takes_sinks)))
        return FOV_ERROR_UNSUPPORTED;
    p->early_scale = a->scale != 1 && !(a->scale > 4 * p->kernels->least && a->scale < p->kernels->largest / 4); /* 4: log2(e) */
    p->capped = a->softcap > 0 && a->softcap * a->softcap < p->kernels->largest;
    int folded = p->early_scale || p->capped || a->bias.data || a->alibi_slopes;
    p->multiplier = !needs(a, FOV_STAGE_SCORE) || folded ? 1 : a->scale;
    /* with vectors of 2 more than 4 rows would need tiles wider than any kernel is built for */
    p->few_rows = p->slice_rows <= least(FEW_ROWS, 2 * p->kernels->vector_lanes);
    p->score = p->few_rows ? p->kernels->score[a->score].rows : p->kernels->score[a->score].lanes;
    p->accumulate = p->few_rows ? &p->kernels->combine[a->combine].rows : &p->kernels->combine[a->combine].lanes;
    return FOV_OK;
}

/* Keys per tile, from head_dim + value_dim. Accumulators are read and written once per tile, so wide rows want long tiles (D = 128,
 * 2 threads: 228 GFLOP/s with 128 keys, 220 with 64, medians in turns); narrow rows want the tile in L1 (D = 64: 86 % of the peak with
 * 64 keys, 77 % with 128); beyond 320 the tile shares L1 with a slab of queries. */
static int64_t tile_keys(int64_t row) { return row <= 160 ? 64 : row <= 320 ? 128 : 64; }

/* Blocks: up to 4 query blocks share a block of keys, so that K and V are read from L2 a quarter as often.
 * Chunks exist only where one task would be too long alone. */
static void cut(const fov_attention_args *a, fov_plan *p)
{
    int vector = p->kernels->vector_lanes;
    int64_t full = (int64_t)p->kernels->max_vectors * vector, rows = p->slice_rows > 0 ? p->slice_rows : 1;
    p->max_lanes = (int)least(full, round_up(rows, vector));
    p->key_lanes = 1;
    if (p->few_rows) {
        int padded = rows > 4 ? 8 : rows > 2 ? 4 : (int)rows; /* 1, 2, 4 or 8 rows share the lanes of a vector evenly */
        p->key_lanes = padded < vector ? vector / padded : 1;
        p->max_lanes = padded * p->key_lanes;
    }
    p->max_rows = p->few_rows ? (int)rows : p->max_lanes;
    p->max_blocks = (int)least(FOV_MAX_BLOCKS, (rows + p->max_rows - 1) / p->max_rows);
    p->task_rows = (int64_t)p->max_blocks * p->max_rows;
    p->n_row_tasks = (p->slice_rows + p->task_rows - 1) / p->task_rows;

    int64_t tile = p->few_rows ? FEW_ROWS_TILE_KEYS : tile_keys(a->head_dim + a->value_dim);
    p->tile_keys = (int)least(tile, a->kv_len > 0 ? a->kv_len : 1);
    p->chunk_keys = a->kv_len > 0 ? a->kv_len : 1;
    if (a->stages == FOV_STAGE_ALL && p->few_rows) p->chunk_keys = a->kv_len > LONG_KV ? 2 * FEW_ROWS_CHUNK : FEW_ROWS_CHUNK;
    else if (a->stages == FOV_STAGE_ALL && p->n_row_tasks == 1 && a->kv_len > SPLIT_KV) p->chunk_keys = SPLIT_CHUNK;
    p->n_chunks = a->kv_len > 0 ? (a->kv_len + p->chunk_keys - 1) / p->chunk_keys : 1;
}

/* How many threads, and tasks enough to keep them busy to the end: fewer query blocks per task change who computes a block, not its bits. */
static void choose_threads(const fov_attention_args *a, fov_plan *p)
{
    double width = (double)a->head_dim + (double)a->value_dim, keys = (double)p->n_slices * (double)a->kv_len;
    double work_ns = keys * ((double)p->slice_rows * (width + 16) / MACS_PER_NS + width * p->kernels->real_bytes / BYTES_PER_NS);
    p->n_threads = work_ns < SERIAL_NS ? 1 : fov_resolve_threads(a->n_threads);
    for (;;) {
        p->task_rows = (int64_t)p->max_blocks * p->max_rows;
        p->n_row_tasks = (p->slice_rows + p->task_rows - 1) / p->task_rows;
        p->n_tasks = p->n_slices * p->n_row_tasks * p->n_chunks;
        if (p->n_threads == 1 || p->max_blocks == 1 || p->n_chunks > 1 || p->n_tasks >= TASKS_PER_THREAD * p->n_threads) break;
        p->max_blocks--;
    }
    if (p->n_threads > p->n_tasks) p->n_threads = p->n_tasks > 0 ? (int)p->n_tasks : 1;
}

static fov_status size_up(const fov_attention_args *a, fov_plan *p)
{
    int64_t real = p->kernels->real_bytes, lanes = p->max_lanes;
    int64_t out_rows = p->few_rows ? p->slice_rows : lanes;
    p->query_bytes = needs(a, FOV_STAGE_SCORE) ? aligned(real * lanes * a->head_dim) : 0;
    p->accumulator_bytes = needs(a, FOV_STAGE_COMBINE) ? aligned(real * out_rows * a->value_dim) : 0;
    p->state_bytes = aligned(real * lanes);
    p->tile_bytes = aligned(real * lanes * ((p->tile_keys + p->key_lanes - 1) / p->key_lanes));
    p->bias_bytes = a->bias.data ? p->tile_bytes : 0;
    p->key_bytes = needs(a, FOV_STAGE_SCORE) ? aligned(real * p->tile_keys * a->head_dim) : 0;
    p->value_bytes = needs(a, FOV_STAGE_COMBINE) ? aligned(real * p->tile_keys * a->value_dim) : 0;
    p->thread_bytes = p->max_blocks * (p->query_bytes + p->accumulator_bytes + 3 * p->state_bytes) + p->tile_bytes +
                      p->bias_bytes + p->key_bytes + p->value_bytes;
    p->partial_bytes = p->n_chunks > 1 ? p->max_blocks * (p->accumulator_bytes + 3 * p->state_bytes) : 0;
    int64_t partials = product((int64_t)p->partial_bytes, p->n_tasks), tickets = 0;
    if (p->n_chunks > 1) tickets = product(4, product(p->n_slices, p->n_row_tasks));
    if (partials < 0 || tickets < 0) return FOV_ERROR_OVERFLOW;
    p->shared_bytes = aligned(tickets) + (size_t)partials;
    return FOV_OK;
}

fov_status fov_plan_make(const fov_attention_args *args, const fov_isa *isa, fov_plan *plan)
{
    fov_status status = check(args);
    if (status != FOV_OK) return status;
    *plan = (fov_plan){.args = args, .isa = isa};
    plan->group_size = args->n_kv_heads ? args->n_q_heads / args->n_kv_heads : 1;
    plan->slice_rows = plan->group_size * args->q_len;
    plan->n_slices = args->n_kv_heads;
    for (int i = 0; i < args->n_batch_axes; i++) plan->n_slices *= args->batch_shape[i];
    status = choose_kernels(args, plan);
    if (status != FOV_OK) return status;
    cut(args, plan);
    choose_threads(args, plan);
    return size_up(args, plan);
}
