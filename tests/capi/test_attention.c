/* Whole calls of the public C API against plain loops: random shapes, layouts, dtypes and options, on every ISA that this
 * machine runs, every array flush against an unreadable page first on one side, then on the other.
 *
 *     test_attention [n_cases per ISA] [first case]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oracle.h"

typedef struct snapshot {
    unsigned char *bytes;
    size_t size;
} snapshot;

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

static void test_case(const char *isa, int64_t number, int flush_end)
{
    random_state random = {(uint64_t)number};
    problem call;
    problem_init(&call, &random, flush_end);
    problem_poison(&call, &random);
    check_begin("case %lld %s %s", (long long)number, isa, call.name);

    const fov_attention_args *args = &call.args;
    const guarded *inputs[] = {&call.query.memory, &call.key.memory, &call.value.memory, &call.mask.memory, &call.bias.memory};
    snapshot before[5];
    for (int i = 0; i < 5; i++) before[i] = take(inputs[i]);
    fov_status status = run(&call, 1, flush_end);
    check(status == FOV_OK, "status %d: %s", (int)status, fov_status_message(status));
    if (status == FOV_OK) oracle_check(&call);
    for (int i = 0; i < 5; i++) check(unchanged(before[i], inputs[i]), "input %d was written", i);

    tensor *results[] = {&call.output, &call.lse, &call.weights};
    static const char *const names[] = {"output", "lse", "weights"};
    snapshot serial[3];
    for (int i = 0; i < 3; i++) serial[i] = take(&results[i]->memory);
    if (status == FOV_OK) status = run(&call, 2, flush_end);
    check(status == FOV_OK, "status %d with two threads: %s", (int)status, fov_status_message(status));
    const int64_t columns[] = {args->value_dim, 1, args->kv_len};
    for (int i = 0; i < 3; i++) {
        const int64_t shape[4] = {call.batch, args->n_q_heads, args->q_len, columns[i]};
        check(unchanged(serial[i], &results[i]->memory), "%s has other bits with two threads", names[i]);
        if (results[i]->memory.size) check(gaps_untouched(results[i], shape), "bytes between %s elements written", names[i]);
    }
    problem_free(&call);
}

int main(int argc, char **argv)
{
    int64_t n_cases = argc > 1 ? atoll(argv[1]) : 400, first = argc > 2 ? atoll(argv[2]) : 0;
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
    }
    return check_report();
}
