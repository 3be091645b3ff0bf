/* Whole calls of the public C API against plain loops: every mode in turn, with random shapes, layouts, dtypes and options, on
 * every ISA that this machine runs, every array flush against an unreadable page first on one side, then on the other.
 *
 *     test_attention [n_cases per ISA] [first case]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oracle.h"
#include "refusals.h"

typedef struct snapshot {
    unsigned char *bytes;
    size_t size;
} snapshot;

enum { SPREAD = 67 }; /* few cases meet every stage too; prime to the number of modes, so that many meet every mode */

static int n_threaded; /* calls that ran with several threads */

static snapshot take(const guarded *memory)
{
    snapshot copy = {malloc(memory->size + 1), memory->size};
    if (memory->size) memcpy(copy.bytes, memory->data, memory->size);
    return copy;
}

/* 1: the memory still is what it was; frees the snapshot. */
static int unchanged(snapshot copy, const guarded *memory)
{
    int same = copy.size == 0 || memcmp(copy.bytes, memory->data, copy.size) == 0;
    free(copy.bytes);
    return same;
}

static fov_status run(problem *call, int n_threads, int flush_end)
{
    call->args.n_threads = n_threads;
    size_t size;
    fov_status status = fov_workspace_size(&call->args, &size);
    if (status != FOV_OK) return status;
    guarded workspace = guarded_new(size, 1, flush_end);
    status = fov_attention(&call->args, workspace.data, size);
    guarded_free(&workspace);
    return status;
}

/* Bytes between the elements of a result (guarded_new filled them with 0xA5) must not be written. Destroys the elements. */
static int gaps_untouched(tensor *array, const int64_t shape[4])
{
    tensor_fill_bytes(array, shape, 0xA5);
    for (size_t i = 0; i < array->memory.size; i++)
        if ((unsigned char)array->memory.data[i] != 0xA5) return 0;
    return 1;
}

/* The columns between the products of two keys are not the call's. */
static int product_gaps_untouched(const problem *call)
{
    const fov_attention_args *args = &call->args;
    char untouched[8];
    memset(untouched, 0xA5, sizeof untouched);
    for (int64_t batch = 0; batch < call->batch; batch++)
        for (int64_t head = 0; head < args->n_q_heads; head++)
            for (int64_t i = 0; i < args->q_len; i++)
                for (int64_t at = 0; at < args->kv_len * call->product_step; at++)
                    if (at % call->product_step >= args->value_dim &&
                        tensor_get(&call->output, batch, head, i, at) != dtype_load(untouched, args->dtype))
                        return 0;
    return 1;
}

enum { N_RESULTS = 4 };

/* The same call with three threads: other bits would show in the serial results' memory. Ends with the results destroyed. */
static void check_threads(problem *call, int flush_end)
{
    const fov_attention_args *args = &call->args;
    tensor *results[N_RESULTS] = {&call->output, &call->lse, &call->weights, &call->key_stats};
    static const char *const names[N_RESULTS] = {"output", "lse", "weights", "key_stats"};
    int is_product = problem_is(call, "product");
    const int64_t rows[N_RESULTS] = {args->q_len, args->q_len, args->q_len, 1};
    const int64_t columns[N_RESULTS] = {is_product ? args->kv_len * call->product_step : args->value_dim, 1, args->kv_len,
                                        args->kv_len};
    snapshot serial[N_RESULTS];
    for (int i = 0; i < N_RESULTS; i++) serial[i] = take(&results[i]->memory);
    fov_status status = run(call, 3, flush_end);
    check(status == FOV_OK, "status %d with three threads: %s", (int)status, fov_status_string(status));
    for (int i = 0; i < N_RESULTS; i++) {
        const int64_t shape[4] = {call->batch, args->n_q_heads, rows[i], columns[i]};
        check(unchanged(serial[i], &results[i]->memory), "%s has other bits with three threads", names[i]);
        if (results[i]->memory.size) check(gaps_untouched(results[i], shape), "bytes between %s elements written", names[i]);
    }
}

static void test_case(const char *isa, int64_t number, int flush_end)
{
    random_state random = {(uint64_t)number};
    problem call;
    problem_init(&call, &random, number * SPREAD, 0, flush_end);
    problem_poison(&call, &random);
    check_begin("case %lld %s %s", (long long)number, isa, call.name);

    const guarded *inputs[] = {&call.query.memory, &call.key.memory, &call.value.memory, &call.mask.memory,
                               &call.bias.memory,  &call.score_w_q,  &call.score_w_k,    &call.score_v};
    enum { N_INPUTS = sizeof inputs / sizeof *inputs };
    snapshot before[N_INPUTS];
    for (int i = 0; i < N_INPUTS; i++) before[i] = take(inputs[i]);
    fov_status status = run(&call, 1, flush_end);
    check(status == FOV_OK, "status %d: %s", (int)status, fov_status_string(status));
    if (status == FOV_OK) oracle_check(&call);
    for (int i = 0; i < N_INPUTS; i++) check(unchanged(before[i], inputs[i]), "input %d was written", i);
    if (problem_is(&call, "product")) check(product_gaps_untouched(&call), "columns between products written");
    if (status == FOV_OK) check_threads(&call, flush_end);
    problem_free(&call);
}

/* 1: large enough for tile registers, of their type. Few of the random cases are. */
static int takes_tiles(int64_t number)
{
    random_state random = {(uint64_t)number};
    problem call;
    problem_init(&call, &random, number * SPREAD, 0, 1);
    const fov_attention_args *args = &call.args;
    int64_t rows = args->n_kv_heads ? args->q_len * (args->n_q_heads / args->n_kv_heads) : 0;
    int takes = args->dtype == FOV_BF16 && rows > 8 && args->kv_len >= 16 && (args->head_dim >= 16 || args->value_dim >= 16);
    problem_free(&call);
    return takes;
}

/* Calls that pay for threads; the small ones have one whatever they ask for. */
static void test_threads(const char *isa, int64_t mode)
{
    random_state random = {(uint64_t)mode};
    problem call;
    fov_stats stats = {0};
    problem_init(&call, &random, mode, 1, (int)(mode % 2));
    call.args.stats = &stats;
    check_begin("threads %lld %s %s", (long long)mode, isa, call.name);
    fov_status status = run(&call, 1, 1);
    check(status == FOV_OK, "status %d: %s", (int)status, fov_status_string(status));
    if (status == FOV_OK) check_threads(&call, 1);
    check(stats.n_threads >= 1, "no task ran");
    if (stats.n_threads > 1) n_threaded++;
    problem_free(&call);
}

int main(int argc, char **argv)
{
    int64_t n_cases = argc > 1 ? atoll(argv[1]) : 400, first = argc > 2 ? atoll(argv[2]) : 0, n_rows, n_ambiguous;
    int64_t n_modes = problem_n_modes(), n_threads = n_cases < n_modes ? n_cases : n_modes;
    for (int i = 0; fov_isa_name(i) != NULL; i++) {
        const char *isa = fov_isa_name(i);
        if (!fov_isa_available(i)) {
            printf("%s: this machine cannot run it\n", isa);
            continue;
        }
        check_begin("fov_set_isa(\"%s\")", isa);
        check(fov_set_isa(isa) == FOV_OK, "refused an available ISA");
        const char *active = "none";
        check(fov_get_isa(&active) == FOV_OK && strcmp(active, isa) == 0, "%s is in use instead", active);
        for (int64_t number = first; number < first + n_cases; number++) {
            test_case(isa, number, 1);
            test_case(isa, number, 0);
        }
        for (int64_t number = first + n_cases, left = strcmp(isa, "amx") == 0 ? n_cases / 2 : 0; left > 0; number++) {
            if (!takes_tiles(number)) continue;
            test_case(isa, number, (int)(left % 2));
            left--;
        }
        for (int64_t i = 0; i < n_threads; i++) test_threads(isa, i * n_modes / n_threads);
        test_refusals(isa);
    }
    oracle_rows(&n_rows, &n_ambiguous);
    printf("%lld rows, %lld with a selection by less than the rounding errors; %d calls with several threads\n",
           (long long)n_rows, (long long)n_ambiguous, n_threaded);
    check_begin("what was compared");
    check(n_modes % SPREAD != 0, "the cases do not meet every mode");
    check(n_ambiguous * 10 < n_rows, "one row in ten was not");
    check(n_threaded > 0 || fov_get_available_threads() < 2 || strcmp(fov_threading_layer(), "none") == 0, "no call had threads");
    return check_report();
}
