/* Arguments of exactly the first frozen size, ending where the mapping ends; then those of a header that is still to come. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "foveate/foveate.h"

static const float rows[6] = {1, 2, 3, 4, 5, 6};
static float output[6];

static void fill(fov_attention_args *args, size_t size)
{
    fov_array array = {(void *)rows, NULL, 24, 8, 4, FOV_F32};
    memset(args, 0, sizeof *args);
    args->size = size;
    args->stages = FOV_STAGE_ALL;
    args->dtype = FOV_F32;
    args->n_threads = 1;
    args->n_q_heads = args->n_kv_heads = 1;
    args->q_len = args->kv_len = args->kv_lengths.value = 3;
    args->head_dim = args->value_dim = 2;
    args->query = args->key = args->value = args->output = array;
    args->output.data = output;
    args->scale = 1;
    args->window_left = FOV_OPEN; /* causal: the first row is the first value */
}

/* The struct in `size` bytes that end at an unreadable page; `tail` is the last of them, if there are more than the struct has. */
static fov_status call(size_t size, int tail)
{
    static char workspace[1 << 20];
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (size + page - 1) / page * page, needed;
    char *memory = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory + room, page, PROT_NONE) != 0) exit(2);
    fov_attention_args args;
    fill(&args, size);
    memcpy(memory + room - size, &args, size < sizeof args ? size : sizeof args);
    if (size > sizeof args) memory[room - 1] = (char)tail;
    fov_attention_args *placed = (void *)(memory + room - size);

    memset(output, 0, sizeof output);
    fov_status status = fov_workspace_size(placed, &needed);
    fov_status again = fov_attention(placed, workspace, sizeof workspace);
    if (status != again || (status == FOV_OK && needed > sizeof workspace)) exit(3);
    munmap(memory, room + page);
    return status;
}

static void expect_ok(const char *what, size_t size)
{
    fov_status status = call(size, 0);
    printf("%s: %s\n", what, status == FOV_OK && output[0] == 1 && output[1] == 2 ? "ok" : fov_last_problem());
}

static void expect_refusal(const char *what, size_t size, int tail, const char *words)
{
    fov_status status = call(size, tail);
    int refused = status == FOV_ERROR_ARGUMENT && strstr(fov_last_problem(), words) && output[0] == 0;
    printf("%s: %s\n", what, refused ? "refused" : "accepted");
}

int main(void)
{
    size_t first = sizeof(fov_attention_args);
    expect_ok("first size", first);
    expect_ok("larger, zero tail", first + 512);
    expect_refusal("larger, used tail", first + 512, 1, "does not know");
    expect_refusal("smaller", first - 8, 0, "args->size");
    return 0;
}
