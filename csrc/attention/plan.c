#include "attention/plan.h"

#include <math.h>
#include <string.h>

#include "attention/problem.h"

#include "parallel/parallel.h"

enum {
    FEW_ROWS = 8,             /* up to here every K row is read once for all rows with vectors along head_dim: memory bound */
    LEAST_TILE_ROWS = 4,      /* few rows in tile registers; fewer are no more work for multiply-adds */
    MOST_TILE_ROWS = 16,
    FEW_ROWS_TILE_KEYS = 256, /* 8 rows x 256 keys of f32: 8 KiB of logits */
    FEW_ROWS_CHUNK = 512,     /* keys per task, at least */
    FEW_ROWS_CHUNKS = 16,     /* of a slice, at least, where that leaves longer ones: the first rows of a chunk come late */
    FEW_ROWS_LONG_CHUNK = 4096,
    SPLIT_KV = 8192,
    TASKS_PER_THREAD = 4, /* at the end a thread waits for a quarter of its share at most */
    LONG_LISTS = 8192, /* keys; beyond, lists of 16 rows instead of 48 at a time: 192 bytes per key and thread in f32 */
    STATS_TASKS = 4, /* tasks of a slice with key_stats, whose totals are added up in their order */
    LEAST_TILED = 16, /* columns, keys: fewer would leave most of a tile product empty, and cost digits for nothing */
    TILED_KEYS = 128, /* keys per tile where products of tiles add up: sums are loaded and stored once per tile */
    SPLIT_CHUNK = 4096 /* a single task of many rows is split only when its keys are many */
};
/* Less than about 40 us does not pay for a second thread: at 50 multiply-adds (100 GFLOP/s) or 25 bytes of K and V a nanosecond. */
static const double SERIAL_NS = 40000, MACS_PER_NS = 50, TILED_MACS_PER_NS = 250 /* prototype */, BYTES_PER_NS = 25;

static size_t aligned(int64_t bytes) { return ((size_t)bytes + 63) & ~(size_t)63; }

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* Small calls have one of everything, and a division takes as long as ten of their multiply-adds. */
static int64_t pieces(int64_t n, int64_t of) { return n <= of ? n > 0 : (n + of - 1) / of; }

static int64_t round_up(int64_t n, int64_t to) { return pieces(n, to) * to; }

static int needs(const fov_attention_args *a, int stage) { return (a->stages & stage) != 0; }

/* The passes over the keys that the mode needs. */
static void choose_passes(const fov_attention_args *a, fov_plan *p)
{
    int activates = needs(a, FOV_STAGE_ACTIVATION), combines = needs(a, FOV_STAGE_COMBINE);
    int sparse = activates && p->activation->solve, matrix = a->stages == FOV_STAGE_SCORE;
    p->select = combines && a->combine == FOV_COMBINE_INDEX_select;
    p->product = combines && a->combine == FOV_COMBINE_INDEX_product;
    p->lists = sparse || p->select;
    p->sums = combines && !p->product && !p->lists;
    if (activates) matrix |= a->weights.data || a->key_stats_kind != FOV_KEY_STATS_NONE;
    p->second_pass = !sparse && (matrix || p->product);
    p->first_pass = p->sums || p->lists || (activates && !p->activation->elementwise);
    p->keep = sparse ? (a->activation == FOV_ACTIVATION_INDEX_topk ? a->top_k : 0) : p->select ? a->select_k : 0;
}

static fov_row_layout layout_of(const fov_plan *p, const fov_array *array, int64_t n_columns)
{
    int64_t real = p->kernels->real_bytes;
    int contiguous = array->column_bytes == real || n_columns <= 1, aligned_rows = (array->row_bytes & (real - 1)) == 0;
    return (fov_row_layout){.are_reals = p->stored_type == (real == 8 ? FOV_F64 : FOV_F32) && contiguous && aligned_rows,
                            .fights_cache = array->row_bytes % 4096 == 0 && array->row_bytes != 0,
                            .ld = real == 8 ? array->row_bytes / 8 : array->row_bytes / 4};
}

static int fills_vectors(const fov_plan *p, const fov_array *array, int64_t n_columns)
{
    int64_t item = p->quantized_in ? 1 : 2;
    return n_columns > 0 && n_columns % p->kernels->vector_lanes == 0 && array->column_bytes == item;
}

/* Few rows read K and V once: through scratch a bf16 or int8 decode takes as long as one of f32. */
static void choose_layouts(const fov_attention_args *a, fov_plan *p)
{
    p->keys = layout_of(p, &a->key, p->key_dim);
    p->values = layout_of(p, &a->value, a->value_dim);
    if (!p->few_rows || p->tile_rows || p->stored_type == FOV_F32 || p->kernels->real_bytes != 4) return;
    p->reads_stored_keys = needs(a, FOV_STAGE_SCORE) && p->score->rows_stored && fills_vectors(p, &a->key, p->key_dim);
    p->reads_stored_values = p->sums && p->accumulate->tile_stored && fills_vectors(p, &a->value, a->value_dim);
}

/* How many bf16 numbers stand for one in tile products: bf16 is one, f16 the sum of two, and so is f32 to 2^-16, where that is precise
 * enough; the sum of three to 2^-24, which is as good as f32; 0: no tile products. */
static int planes_of(const fov_attention_args *a, const fov_plan *p, int f32_by_tiles)
{
    static const int of_f32[] = {
        [FOV_PRECISION_HIGHEST] = 3, [FOV_PRECISION_HIGH] = 2, [FOV_PRECISION_MEDIUM] = 1}; /* bf16 numbers */
    if (p->stored_type != a->dtype) return 0;
    switch (a->dtype) {
    case FOV_BF16: return 1;
    case FOV_F16: return 2;
    case FOV_F32: return a->precision == FOV_PRECISION_HIGHEST && !f32_by_tiles ? 0 : of_f32[a->precision];
    default: return 0;
    }
}

/* Products of bf16 numbers in tile registers: a dot product of rows, and sums of weights times values. Few rows take them for both or for
 * none, and of numbers that are bf16 already: those read K and V where they lie. */
static void choose_tiles(const fov_attention_args *a, fov_plan *p, int f32_by_tiles)
{
    int n_planes = p->isa->tiles && a->kv_len >= LEAST_TILED ? planes_of(a, p, f32_by_tiles) : 0;
    if (!n_planes) return;
    int projects = a->score_w_q.data || a->score_w_k.data;
    int scores = needs(a, FOV_STAGE_SCORE) && !p->score->encode && !projects && a->head_dim >= LEAST_TILED;
    int sums = p->sums && a->value_dim >= LEAST_TILED;
    p->tile_rows = a->dtype == FOV_BF16 && scores && sums && p->slice_rows >= LEAST_TILE_ROWS && p->slice_rows <= MOST_TILE_ROWS;
    if (p->few_rows && !p->tile_rows) return;
    if (p->tile_rows) p->few_rows = 1;
    p->n_planes = n_planes;
    p->splits = a->dtype != FOV_BF16;
    p->tile_scores = scores;
    p->tile_sums = sums;
    p->tile_dim = round_up(p->key_dim, FOV_TILE_DEPTH);
    p->tile_keys_in_place =
        !p->splits && a->key.column_bytes == 2 && a->key.row_bytes == 2 * p->tile_dim && p->tile_dim == p->key_dim;
    if (p->tile_scores || p->tile_sums) p->tiles = p->isa->tiles;
    if (p->tile_sums && p->n_planes == 1 && needs(a, FOV_STAGE_ACTIVATION) && p->activation->tile_rounded)
        p->activation_tile = p->activation->tile_rounded;
}

/* Lengths bound a dot product and nothing else that may come on top of it. */
static void choose_far(const fov_attention_args *a, fov_plan *p)
{
    int is_dot = needs(a, FOV_STAGE_SCORE) && !p->score->encode && !a->score_w_q.data && !a->score_w_k.data;
    p->skips_far = a->alibi_slopes && is_dot && p->sums && p->activation->has_lse && !p->few_rows && !p->capped &&
                   !a->bias.data && !a->modifier;
    if (!p->skips_far) return;
    p->nothing = log(p->kernels->least) - 1;
}

static fov_status choose_kernels(const fov_attention_args *a, fov_plan *p, int f32_by_tiles)
{
    p->kernels = a->dtype == FOV_F64 ? p->isa->f64 : p->isa->f32;
    p->activation = &p->kernels->activation[a->activation];
    p->moves = &p->kernels->moves[a->dtype];
    p->stored_type = a->kv_dtype ? a->kv_dtype : a->dtype;
    if (a->kv_dtype) p->quantized_in = p->kernels->quantized_in[a->kv_dtype - FOV_INT8];
    if (needs(a, FOV_STAGE_ACTIVATION) && a->lse.data && !p->activation->has_lse)
        return fov_problem(FOV_ERROR_UNSUPPORTED, "lse must be NULL for an activation without a denominator");
    if (needs(a, FOV_STAGE_ACTIVATION) && a->sinks && !p->activation->takes_sinks)
        return fov_problem(FOV_ERROR_UNSUPPORTED, "sinks must be NULL for any activation but softmax");
    p->early_scale = a->scale != 1 && !(a->scale > 4 * p->kernels->least && a->scale < p->kernels->largest / 4); /* 4: log2(e) */
    choose_passes(a, p);
    if (p->lists && a->kv_len > INT32_MAX) return fov_problem(FOV_ERROR_OVERFLOW, "kv_len must be below 2^31 in this mode");
    p->capped = a->softcap > 0 && a->softcap * a->softcap < p->kernels->largest;
    int folded = p->early_scale || p->capped || a->bias.data || a->alibi_slopes || a->modifier;
    p->multiplier = !needs(a, FOV_STAGE_SCORE) || folded ? 1 : a->scale;
    /* with vectors of 2 more than 4 rows would need tiles wider than any kernel is built for */
    p->few_rows = p->slice_rows <= least(FEW_ROWS, 2 * p->kernels->vector_lanes);
    p->score = &p->kernels->score[a->score];
    p->activation_tile = p->activation->tile;
    choose_tiles(a, p, f32_by_tiles);
    p->score_tile = p->few_rows ? p->score->rows : p->score->lanes;
    p->accumulate = p->few_rows ? &p->kernels->combine[a->combine].rows : &p->kernels->combine[a->combine].lanes;
    p->trims = !p->few_rows && p->group_size == 1 && a->stages != FOV_STAGE_COMBINE &&
               (a->window_left != FOV_OPEN || a->window_right != FOV_OPEN);
    choose_layouts(a, p);
    choose_far(a, p);
    return FOV_OK;
}

/* Keys per tile, from head_dim + value_dim. Accumulators are read and written once per tile, so wide rows want long tiles (D = 128,
 * 2 threads: 228 GFLOP/s with 128 keys, 220 with 64, medians in turns); narrow rows want the tile in L1 (D = 64: 86 % of the peak with
 * 64 keys, 77 % with 128); beyond 320 the tile shares L1 with a slab of queries. */
static int64_t tile_keys(int64_t row) { return row <= 160 ? 64 : row <= 320 ? 128 : 64; }

/* As few tasks as there are of `n_spans` spans, and the query blocks dealt out evenly among them: 22 blocks in 8 tasks are 6 of 3
 * and 2 of 2, not 7 of 3 and a short one, for which the other thread would wait. */
static void row_tasks(fov_plan *p, int64_t n_spans)
{
    int64_t n_blocks = pieces(p->slice_rows, p->max_rows);
    p->span_rows = (int64_t)p->max_blocks * p->max_rows;
    p->n_row_tasks = pieces(n_blocks, n_spans * p->max_blocks);
    p->task_blocks = p->n_row_tasks <= 1 ? n_blocks : n_blocks / p->n_row_tasks;
    p->longer_tasks = n_blocks - p->task_blocks * p->n_row_tasks;
}

/* From kv_len alone. bf16, 8 heads of 32768 keys, two threads: 2.87 ms in chunks of 512, 2.61 of 1024, 2.51 of 2048. */
static int64_t few_rows_chunk(int64_t kv_len)
{
    int64_t n = FEW_ROWS_CHUNK;
    while (n < FEW_ROWS_LONG_CHUNK && kv_len >= 2 * n * FEW_ROWS_CHUNKS) n *= 2;
    return n;
}

/* 1, 2, 4 or 8 rows share the lanes of a vector evenly; in tile registers each has one. */
static int padded_rows(const fov_plan *p, int64_t rows)
{
    if (p->tile_rows) return MOST_TILE_ROWS;
    return rows > 4 ? 8 : rows > 2 ? 4 : (int)rows;
}

/* Blocks: up to 4 query blocks share a block of keys, so that K and V are read from L2 a quarter as often.
 * Chunks exist only where one task would be too long alone. */
static void cut(const fov_attention_args *a, fov_plan *p)
{
    int vector = p->kernels->vector_lanes;
    int64_t vectors = p->lists && a->kv_len > LONG_LISTS ? 1 : p->kernels->max_vectors;
    int64_t full = vectors * vector, rows = p->slice_rows > 0 ? p->slice_rows : 1;
    p->max_lanes = (int)least(full, round_up(rows, vector));
    p->key_lanes = 1;
    if (p->few_rows) {
        int padded = padded_rows(p, rows);
        p->key_lanes = padded < vector ? vector / padded : 1;
        p->max_lanes = padded * p->key_lanes;
    }
    p->max_rows = p->few_rows ? (int)rows : p->max_lanes;
    int64_t n_blocks = pieces(rows, p->max_rows);
    p->max_blocks = p->lists ? 1 : (int)least(FOV_MAX_BLOCKS, n_blocks);
    row_tasks(p, a->key_stats_kind == FOV_KEY_STATS_NONE ? 1 : pieces(pieces(n_blocks, STATS_TASKS), p->max_blocks));

    int64_t tile = p->tiles ? TILED_KEYS : p->few_rows ? FEW_ROWS_TILE_KEYS : tile_keys(p->score_dim + a->value_dim);
    p->tile_keys = (int)least(tile, a->kv_len > 0 ? a->kv_len : 1);
    p->chunk_keys = a->kv_len > 0 ? a->kv_len : 1;
    int splits = a->stages == FOV_STAGE_ALL && p->sums;
    if (splits && p->few_rows) p->chunk_keys = few_rows_chunk(a->kv_len);
    else if (splits && p->n_row_tasks == 1 && a->kv_len > SPLIT_KV) p->chunk_keys = SPLIT_CHUNK;
    p->n_chunks = a->kv_len > 0 ? pieces(a->kv_len, p->chunk_keys) : 1;
}

/* How many threads, and tasks enough to keep them busy to the end: fewer query blocks per task change who computes a block, not its bits. */
static void choose_threads(const fov_attention_args *a, fov_plan *p)
{
    double width = (double)p->score_dim + (double)a->value_dim, keys = (double)p->n_slices * (double)a->kv_len;
    double macs_per_ns = p->tile_scores && p->tile_sums ? TILED_MACS_PER_NS / (p->n_planes * (p->n_planes + 1) / 2) : MACS_PER_NS;
    double work_ns = keys * ((double)p->slice_rows * (width + 16) / macs_per_ns + width * p->kernels->real_bytes / BYTES_PER_NS);
    p->is_serial = work_ns < SERIAL_NS;
    p->n_threads = p->is_serial ? 1 : a->parallel_for && a->n_threads > 0 ? a->n_threads : fov_resolve_threads(a->n_threads);
    for (;;) {
        p->n_tasks = p->n_slices * p->n_row_tasks * p->n_chunks;
        if (p->n_threads == 1 || p->max_blocks == 1 || p->n_chunks > 1 || p->n_tasks >= (int64_t)TASKS_PER_THREAD * p->n_threads)
            break;
        if (a->key_stats_kind != FOV_KEY_STATS_NONE) break; /* their tasks are part of the order of sums */
        p->max_blocks--;
        row_tasks(p, 1);
    }
    if (p->n_threads > p->n_tasks) p->n_threads = p->n_tasks > 0 ? (int)p->n_tasks : 1;
}

static fov_status size_up(const fov_attention_args *a, fov_plan *p)
{
    int64_t real = p->kernels->real_bytes, lanes = p->max_lanes;
    int64_t out_rows = p->few_rows ? p->slice_rows : lanes;
    int scores = needs(a, FOV_STAGE_SCORE), encodes = scores && p->score->encode, projects_q = scores && a->score_w_q.data;
    int64_t n_rows = p->tile_keys > lanes ? p->tile_keys : lanes; /* of queries or keys on their way to the score */
    p->query_bytes = scores ? aligned(real * lanes * p->score_dim) : 0;
    p->code_bytes = encodes && !p->score->code_replaces ? p->query_bytes : 0;
    p->rows_bytes =
        encodes || projects_q ? aligned(real * lanes * (a->head_dim + !a->head_dim)) : 0; /* sizes tell what is done, so no 0 */
    p->projected_bytes =
        scores && (projects_q || a->score_w_k.data) ? aligned(real * n_rows * (p->score_dim + !p->score_dim)) : 0;
    p->coded_bytes = encodes ? aligned(real * n_rows * (p->score_dim + !p->score_dim)) : 0;
    p->reach_bytes = encodes ? aligned(real * n_rows) : 0;
    p->ones_bytes = scores && a->score == FOV_SCORE_INDEX_additive && !a->score_v.data ? aligned(real * p->score_dim) : 0;
    int64_t out_columns = p->tile_sums ? round_up(a->value_dim, FOV_TILE_KEYS) : a->value_dim;
    p->accumulator_bytes = needs(a, FOV_STAGE_COMBINE) ? aligned(real * (p->sums ? out_rows : 1) * out_columns) : 0;
    p->state_bytes = aligned(real * lanes);
    int64_t tile_steps = p->tiles ? round_up(p->tile_keys, FOV_TILE_DEPTH) : (p->tile_keys + p->key_lanes - 1) / p->key_lanes;
    p->tile_bytes = aligned(real * lanes * tile_steps);
    int64_t half = 2 * p->n_planes; /* bytes */
    p->query_tile_bytes = p->tile_scores ? aligned(half * lanes * p->tile_dim) : 0;
    p->key_tile_bytes = p->tile_scores ? aligned(half * p->tile_dim * (p->tile_keys + FOV_TILE_KEYS)) : 0;
    p->value_tile_step = half * out_columns * FOV_TILE_DEPTH;
    p->value_tile_bytes = p->tile_sums ? aligned(half * out_columns * tile_steps) : 0;
    int64_t weight_bytes = p->tile_rows                      ? 2 * real
                           : p->tile_sums && p->n_planes > 2 ? half
                                                             : 0; /* of weights that are packed elsewhere */
    p->weight_tile_bytes = aligned(weight_bytes * lanes * tile_steps);
    p->key_bytes = scores ? aligned(real * p->tile_keys * p->key_dim) : 0;
    p->value_bytes = needs(a, FOV_STAGE_COMBINE) ? aligned(real * p->tile_keys * a->value_dim) : 0;
    if (p->lists) {
        int64_t capacity = a->kv_len;
        if (p->keep && p->keep < a->kv_len / 2 && 2 * p->keep + p->tile_keys < capacity) capacity = 2 * p->keep + p->tile_keys;
        p->list_stride = round_up(capacity, 16) + 16; /* an odd number of lines: rows do not meet in the same cache sets */
        int64_t rows = fov_product(p->max_rows, p->list_stride);
        if (rows < 0 || rows > INT64_MAX / 64) return fov_problem(FOV_ERROR_OVERFLOW, "the workspace must be below 2^62 bytes");
        p->list_key_bytes = aligned(rows * 4);
        p->list_bytes = aligned(rows * real) + p->list_key_bytes + p->state_bytes;
        p->list_row_bytes = aligned(p->list_stride * 8);
    }
    p->thread_bytes = p->max_blocks * (p->query_bytes + p->query_tile_bytes + p->code_bytes + p->accumulator_bytes +
                                       3 * p->state_bytes + p->reach_bytes) +
                      p->tile_bytes + p->key_bytes + p->value_bytes + p->key_tile_bytes + p->value_tile_bytes +
                      p->weight_tile_bytes + p->rows_bytes + p->projected_bytes + p->coded_bytes + p->reach_bytes +
                      p->ones_bytes + p->list_bytes + 2 * p->list_row_bytes;
    p->partial_bytes = p->n_chunks > 1 ? p->max_blocks * (p->accumulator_bytes + 3 * p->state_bytes) : 0;
    int64_t partials = fov_product((int64_t)p->partial_bytes, p->n_tasks), tickets = 0;
    if (p->n_chunks > 1) tickets = fov_product(4, fov_product(p->n_slices, p->n_row_tasks));
    if (partials < 0 || tickets < 0) return fov_problem(FOV_ERROR_OVERFLOW, "the workspace must be below 2^62 bytes");
    p->split_bytes = aligned(tickets) + (size_t)partials;
    if (a->key_stats_kind != FOV_KEY_STATS_NONE) {
        int64_t totals =
            fov_product(fov_product(8, fov_product(p->group_size, a->kv_len)), fov_product(p->n_slices, p->n_row_tasks));
        if (totals < 0 || fov_product(4, p->n_slices) < 0)
            return fov_problem(FOV_ERROR_OVERFLOW, "the workspace must be below 2^62 bytes");
        p->totals_bytes = (size_t)(8 * p->group_size * a->kv_len);
        p->stats_bytes = aligned(4 * p->n_slices) + aligned(totals);
    }
    p->n_tiles = pieces(a->kv_len, p->tile_keys);
    if (p->sums && !p->few_rows && p->n_row_tasks > 1) p->finite_bytes = aligned(p->n_slices * p->n_tiles);
    if (p->skips_far && p->finite_bytes) p->norm_bytes = aligned(4 * p->n_slices * p->n_tiles);
    fov_plan_shared_mask(p);
    p->shared_bytes = p->split_bytes + p->stats_bytes + p->norm_bytes + p->finite_bytes + p->shared_mask.bytes;
    return FOV_OK;
}

fov_status fov_plan_make(const fov_attention_args *args, const fov_isa *isa, int f32_by_tiles, fov_plan *plan)
{
    fov_status status = fov_check(args);
    if (status != FOV_OK) return status;
    size_t size = sizeof *plan;
    __asm__("" : "+r"(size)); /* a constant becomes "rep stos", which takes 30 ns to begin: a tenth of a tiny call */
    memset(plan, 0, size);
    plan->args = args;
    plan->isa = isa;
    plan->kv_group_size = args->n_q_heads > args->n_kv_heads ? args->n_q_heads / args->n_kv_heads : 1;
    int own = args->score_w_q.head_elements || args->score_w_k.head_elements || args->score_v.head_elements;
    plan->group_size = own && needs(args, FOV_STAGE_SCORE) ? 1 : plan->kv_group_size;
    plan->slice_heads = !args->n_q_heads ? 0 : plan->group_size == 1 ? args->n_q_heads : args->n_kv_heads;
    plan->slice_rows = plan->group_size * args->q_len;
    plan->n_slices = plan->slice_heads;
    plan->key_dim = args->key_dim ? args->key_dim : args->head_dim;
    plan->score_dim = fov_score_dim(args);
    for (int i = 0; i < args->n_batch_axes; i++) plan->n_slices *= args->batch_shape[i];
    status = choose_kernels(args, plan, f32_by_tiles);
    if (status != FOV_OK) return status;
    cut(args, plan);
    choose_threads(args, plan);
    return size_up(args, plan);
}
