#include "attention/driver.h"

#include <math.h>
#include <string.h>

#include "attention/problem.h"
#include "attention/split.h"
#include "attention/task.h"
#include "parallel/parallel.h"

typedef struct {
    const fov_plan *plan;
    char *shared, *threads;
    int cancelled;
} fov_run_context;

static int is_cancelled(const fov_plan *p) { return p->args->cancel && *p->args->cancel != 0; }

/* Work may have been left out: the call has to say so, also if the caller clears the flag again. */
static int was_cancelled(fov_run_context *run)
{
    if (!is_cancelled(run->plan)) return 0;
    __atomic_store_n(&run->cancelled, 1, __ATOMIC_RELAXED);
    return 1;
}

/* Lays the scratch of a thread out: blocks of (query, codes, accumulators, three state arrays), then what the blocks share. */
static void lay_out(fov_task *t, char *at)
{
    const fov_plan *p = t->plan;
    double limit = p->kernels->largest / 4; /* times log2(e) a finite real: masked logits stay masked whatever the bias */
    double bias = p->args->sigmoid_bias < -limit ? -limit : p->args->sigmoid_bias > limit ? limit : p->args->sigmoid_bias;
    for (int i = 0; i < p->max_blocks; i++) {
        fov_block *b = &t->blocks[i].block;
        *b = (fov_block){.head_dim = p->score_dim, .value_dim = p->args->value_dim, .sigmoid_bias = bias};
        b->n_planes = p->n_planes;
        b->has_rounded_weights = p->activation_tile && p->activation_tile == p->activation->tile_rounded;
        b->query = at, at += p->query_bytes;
        b->query_tiles = at, at += p->query_tile_bytes;
        b->query_code = at, at += p->code_bytes;
        b->query_reach = at, at += p->reach_bytes;
        b->accumulators = at, at += p->accumulator_bytes;
        b->row_max = at, at += p->state_bytes;
        b->row_sum = at, at += p->state_bytes;
        b->row_factor = at, at += p->state_bytes;
    }
    t->tile = at, at += p->tile_bytes;
    t->key_rows = at, at += p->key_bytes;
    t->value_rows = at, at += p->value_bytes;
    t->key_tiles = at, at += p->key_tile_bytes;
    t->value_tiles = at, at += p->value_tile_bytes;
    for (int i = 0; i < p->max_blocks; i++) {
        fov_block *b = &t->blocks[i].block;
        b->weight_tiles = at;
        b->ahead[0] = b->ahead[1] = t->tile; /* passes over the keys that ask for nothing */
    }
    at += p->weight_tile_bytes;
    t->rows = at, at += p->rows_bytes;
    t->projected = at, at += p->projected_bytes;
    t->coded = at, at += p->coded_bytes;
    t->reach = at, at += p->reach_bytes;
    t->ones = at, at += p->ones_bytes;
    t->list_row = (double *)at, at += 2 * p->list_row_bytes;
    if (!p->lists) return;
    fov_lists *lists = &t->blocks[0].lists; /* one block per task */
    lists->limit = at, at += p->state_bytes;
    lists->values = at, at += p->list_bytes - p->state_bytes - p->list_key_bytes;
    lists->keys = (int32_t *)at;
}

static void start_blocks(fov_task *t, int64_t row, int64_t end)
{
    const fov_plan *p = t->plan;
    t->n_blocks = 0;
    for (; row < end; row += p->max_rows) {
        fov_query_block *q = &t->blocks[t->n_blocks++];
        int64_t left = end - row;
        q->row = row;
        q->position = p->group_size == 1 ? row : row / p->group_size;
        q->head = row - q->position * p->group_size;
        q->block.n_rows = (int)(left < p->max_rows ? left : p->max_rows);
        q->block.key_lanes = p->key_lanes;
        q->block.n_lanes = p->max_lanes;
        if (!p->few_rows) /* fewer vectors for the last rows */
            q->block.n_lanes =
                (q->block.n_rows + p->kernels->vector_lanes - 1) / p->kernels->vector_lanes * p->kernels->vector_lanes;
        fov_read_query(t, q);
        q->block.multiplier = p->multiplier;
        if ((p->args->stages & FOV_STAGE_ACTIVATION) && p->activation->init) p->activation->init(&q->block);
        if (p->lists) fov_start_lists(t, q);
        memset(q->block.accumulators, 0, p->accumulator_bytes);
        if (p->skips_far) p->kernels->modify.query_norms(&q->block, q->norms);
        fov_set_ranges(t, q);
    }
}

/* Found out by the first task that comes by: a second look by each task would cost 1.5 % of a prefill. */
static int values_finite(fov_task *t)
{
    enum { UNKNOWN, FINITE, NOT_FINITE };
    uint8_t *known = t->finite ? t->finite + t->keys_at / t->plan->tile_keys : NULL;
    uint8_t found = known ? __atomic_load_n(known, __ATOMIC_RELAXED) : UNKNOWN;
    if (found != UNKNOWN) return found == FINITE;
    int finite;
    if (t->plan->tile_sums) {
        finite = fov_need_value_tiles(t);
    } else {
        fov_need_value(t);
        finite = t->plan->kernels->all_finite(t->value_block, t->value_ld, t->n_keys_at, t->plan->args->value_dim);
    }
    if (known) __atomic_store_n(known, finite ? FINITE : NOT_FINITE, __ATOMIC_RELAXED);
    return finite;
}

static int are_finite(fov_task *t)
{
    if (t->value_finite < 0) t->value_finite = values_finite(t);
    return t->value_finite;
}

/* 1: the logits of the tile are fewer than the values of the block, which nobody else will have to look at. */
static int logits_are_fewer(const fov_task *t, const fov_query_block *q)
{
    if (t->plan->tile_sums) return 0; /* values that are packed are looked at on the way */
    return t->plan->few_rows || (t->n_blocks == 1 && !t->finite && q->block.n_lanes < t->plan->args->value_dim);
}

/* 1: some value of the block is NaN or Inf and must be kept out by selection, since 0 * NaN would show it. A logit may be -inf
 * through the mask, a bias or arithmetic; all three mean masked. Where logits are fewer, such a logit is looked for first (2 to 3 % of a
 * call with 32 rows per K/V head); else the values are looked at once for all query blocks (0.5 % of the work). */
static int must_select(fov_task *t, fov_query_block *q, int attend)
{
    if (attend == FOV_FULL && !t->bias && logits_are_fewer(t, q) && !t->plan->kernels->modify.any_masked(&q->block)) return 0;
    return !are_finite(t);
}

static void point_at_values(fov_task *t, fov_query_block *q, int64_t first)
{
    fov_need_value(t);
    q->block.value = t->value_block + (first - t->keys_at) * t->value_ld * t->plan->kernels->real_bytes;
    q->block.value_ld = t->value_ld;
}

static void add_rows_of_values(fov_task *t, fov_query_block *q, int64_t first, int selected)
{
    const fov_tiles *tiles = t->plan->tiles;
    if (selected) {
        point_at_values(t, q, first);
        tiles->add_not_finite_rows(&q->block, t->attend);
    }
    fov_use_tiles(t);
    q->block.stored_value = fov_tile_values(t, first);
    tiles->weighted_sum_rows(&q->block);
}

/* accumulators += the weights of the tile times the values from key `first` on. */
static void add_values(fov_task *t, fov_query_block *q, int64_t first, int selected)
{
    const fov_plan *p = t->plan;
    if (p->reads_stored_values && !selected && !t->value_ready && !t->value_halvings) {
        q->block.stored_value = fov_stored_values(t, first);
        p->accumulate->tile_stored(&q->block);
        return;
    }
    if (p->tile_sums && !t->value_halvings) {
        fov_need_value_tiles(t);
        if (p->tile_rows) {
            add_rows_of_values(t, q, first, selected);
            return;
        }
        if (selected || p->n_planes > 1) point_at_values(t, q, first);
        if (selected) p->tiles->add_not_finite(&q->block, t->attend);
        fov_use_tiles(t);
        q->block.value_tiles = t->value_tiles + (first - t->keys_at) / FOV_TILE_DEPTH * p->value_tile_step;
        p->tiles->weighted_sum(&q->block);
        return;
    }
    point_at_values(t, q, first);
    if (selected) p->accumulate->selected(&q->block, t->attend);
    else p->accumulate->tile(&q->block);
}

/* One query block against one block of keys, trimmed to the keys that some row may attend. */
static void run_tile(fov_task *t, fov_query_block *q)
{
    const fov_plan *p = t->plan;
    int64_t first = t->keys_at > q->first_key ? t->keys_at : q->first_key;
    int64_t last = t->keys_at + t->n_keys_at < q->last_key ? t->keys_at + t->n_keys_at : q->last_key;
    if (first >= last) {
        t->tiles_dead++;
        return;
    }
    if (p->tile_sums && !p->tile_rows)
        first -= (first - t->keys_at) % FOV_TILE_DEPTH; /* values are packed from the first key of the block */
    if (p->skips_far && fov_is_far(t, q, first, last) && are_finite(t)) {
        t->tiles_dead++;
        return;
    }
    int attend = fov_compute_logits(t, q, first, (int)(last - first));
    if (attend == FOV_DEAD) return;
    int combine = p->sums, selected = 0;
    if (p->lists) fov_collect(t, q, first);
    if (p->args->stages & FOV_STAGE_ACTIVATION) {
        selected = combine && must_select(t, q, attend);
        if (selected) p->kernels->modify.differ(&q->block, -(double)INFINITY, t->attend);
        if (p->activation->elementwise) {
            if (combine) p->activation->weights(&q->block);
        } else if (p->activation_tile && p->activation_tile(&q->block) && combine) {
            p->accumulate->rescale(&q->block);
        }
    } else if (combine && must_select(t, q, FOV_PARTIAL)) { /* weights from the caller: 0 keeps a value out */
        selected = 1;
        p->kernels->modify.differ(&q->block, 0, t->attend);
    }
    if (combine) add_values(t, q, first, selected);
}

static void run_keys(fov_task *t)
{
    int64_t first = t->chunk_last, last = t->chunk_first, tile = t->plan->tile_keys;
    for (int i = 0; i < t->n_blocks; i++) {
        if (t->blocks[i].first_key < first) first = t->blocks[i].first_key;
        if (t->blocks[i].last_key > last) last = t->blocks[i].last_key;
    }
    if (first < t->chunk_first) first = t->chunk_first;
    if (last > t->chunk_last) last = t->chunk_last;
    first = first < tile ? 0 : first / tile * tile;
    int64_t key = first, step = tile;
    if (t->plan->skips_far && fov_goes_backwards(t)) key = (last - 1) / tile * tile, step = -tile;
    for (int64_t next; key >= first && key < last && !is_cancelled(t->plan); key = next) {
        next = key + step;
        fov_key_block(t, key, t->chunk_last - key < tile ? t->chunk_last - key : tile);
        for (int i = 0; i < t->n_blocks; i++) {
            fov_ask_ahead(t, &t->blocks[i], i, next >= first && next < last ? next : -1);
            run_tile(t, &t->blocks[i]);
        }
    }
}

/* A sum can leave the range of the compute type though its mean does not. Rows [row, end) once more with values so small that no
 * sum overflows; what was finite keeps its bits, so nothing that was flushed to 0 now can matter: a sum that overflowed is larger. */
static void run_smaller(fov_task *t, int64_t row, int64_t end)
{
    int64_t chunk_first = t->chunk_first, chunk_last = t->chunk_last;
    t->chunk_first = 0;
    t->chunk_last = t->plan->args->kv_len;
    t->value_halvings = 9; /* weights of a softmax reach 2^8 before they are divided */
    for (int64_t n = t->chunk_last; n > 0; n /= 2) t->value_halvings++;
    start_blocks(t, row, end);
    run_keys(t);
    for (int i = 0; i < t->n_blocks && !is_cancelled(t->plan); i++) fov_replace_overflowed(t, &t->blocks[i]);
    t->value_halvings = 0;
    t->chunk_first = chunk_first;
    t->chunk_last = chunk_last;
}

static void finish(fov_task *t, int64_t row, int64_t end)
{
    int overflowed = 0;
    for (int i = 0; i < t->n_blocks; i++) {
        overflowed |= !fov_write_output(t, &t->blocks[i]);
        if (t->plan->lists) fov_finish_lists(t, &t->blocks[i]);
        if (t->plan->second_pass) fov_run_second_pass(t, &t->blocks[i]);
    }
    if (overflowed) run_smaller(t, row, end);
}

static void run_task(void *context, int64_t task, int thread)
{
    fov_run_context *run = context;
    const fov_plan *p = run->plan;
    fov_task t;
    if (was_cancelled(run)) return;
    t.plan = p;
    t.totals = NULL;
    t.k_scale = t.v_scale = NULL;
    t.value_halvings = 0;
    t.tiles_computed = t.tiles_dead = 0;
    int64_t unit = p->n_chunks == 1 ? task : task / p->n_chunks, chunk = task - unit * p->n_chunks;
    int64_t slice = p->n_row_tasks == 1 ? unit : unit / p->n_row_tasks;
    int64_t row_task = unit - slice * p->n_row_tasks;
    if (p->args->window_right != FOV_OPEN) row_task = p->n_row_tasks - 1 - row_task; /* the longest causal rows first */
    int64_t row = (row_task * p->task_blocks + (row_task < p->longer_tasks ? row_task : p->longer_tasks)) * p->max_rows;
    int64_t end = row + (p->task_blocks + (row_task < p->longer_tasks)) * p->max_rows;
    if (end > p->slice_rows) end = p->slice_rows;
    uint64_t environment = p->isa->enter();
    if (p->tiles) p->tiles->enter();

    fov_task_slice(&t, slice);
    t.chunk_first = chunk * p->chunk_keys;
    t.chunk_last = t.chunk_first + p->chunk_keys < p->args->kv_len ? t.chunk_first + p->chunk_keys : p->args->kv_len;
    char *of_tiles = run->shared + p->split_bytes + p->stats_bytes;
    t.key_norms = p->norm_bytes ? (uint32_t *)of_tiles + slice * p->n_tiles : NULL;
    t.finite = p->finite_bytes ? (uint8_t *)of_tiles + p->norm_bytes + slice * p->n_tiles : NULL;
    fov_shared_mask_slice(&t, of_tiles + p->norm_bytes + p->finite_bytes);
    lay_out(&t, run->threads + (size_t)thread * p->thread_bytes);
    int joined = 1;
    for (; row < end; row += p->span_rows) {
        int64_t last = row + p->span_rows < end ? row + p->span_rows : end;
        start_blocks(&t, row, last);
        if (p->first_pass) run_keys(&t);
        if (was_cancelled(run)) break;
        joined = p->n_chunks == 1 || fov_split_join(&t, run->shared, unit, chunk);
        if (!joined) break; /* a split unit has one span */
        if (p->stats_bytes && !t.totals) fov_totals_start(&t, run->shared + p->split_bytes, row_task);
        finish(&t, row, last);
        if (was_cancelled(run)) break; /* perhaps in the midst of the second pass */
    }
    if (p->stats_bytes && joined && t.totals) fov_totals_finish(&t, run->shared + p->split_bytes);

    if (p->tiles) p->tiles->leave();
    p->isa->leave(environment);
    if (p->args->stats) {
        __atomic_fetch_add(&p->args->stats->tiles_computed, t.tiles_computed, __ATOMIC_RELAXED);
        __atomic_fetch_add(&p->args->stats->tiles_dead, t.tiles_dead, __ATOMIC_RELAXED);
    }
}

static fov_status end(const fov_plan *p, int cancelled)
{
    return cancelled || is_cancelled(p) ? fov_problem(FOV_CANCELLED, "*cancel became non-zero") : FOV_OK;
}

fov_status fov_run(const fov_plan *p, char *workspace)
{
    const fov_attention_args *a = p->args;
    if (p->n_tasks == 0) {
        if (p->stats_bytes) fov_totals_of_no_query(p);
        return end(p, 0);
    }
    fov_run_context run = {p, workspace, workspace + p->shared_bytes, 0};
    if (a->stats) {
        a->stats->n_threads = p->n_threads;
        a->stats->few_rows = p->few_rows;
    }
    fov_split_reset(p, workspace);
    if (p->stats_bytes) fov_totals_reset(p, workspace + p->split_bytes);
    size_t unknown = p->norm_bytes + p->finite_bytes + p->shared_mask.state_bytes;
    if (unknown) memset(workspace + p->split_bytes + p->stats_bytes, 0, unknown);
    if (a->parallel_for && p->n_threads > 1) a->parallel_for(a->parallel_for_host, p->n_tasks, p->n_threads, run_task, &run);
    else fov_parallel_for(p->n_tasks, p->n_threads, run_task, &run);
    return end(p, run.cancelled);
}
