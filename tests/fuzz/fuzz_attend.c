/* Bytes -> calls of the C API. A valid call must succeed, write its results and nothing else, and give finite numbers for finite
 * ones; a wrong one must be refused with a text and touch nothing. The sanitizers see whatever is read or written elsewhere. */
#include <stdlib.h>
#include <string.h>

#include "fuzz_others.h"
#include "spoil.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void choose_isa(choices *in)
{
    int n = 0, usable[8];
    for (int i = 0; fov_isa_name(i); i++)
        if (fov_isa_available(i)) usable[n++] = i;
    const char *name = fov_isa_name(usable[take(in) % (unsigned)n]);
    if (fov_set_isa(name) != FOV_OK) fail("the ISA %s was refused", name);
}

/* The arguments in memory of their own: as many bytes as args->size says, or as an older or newer header would have. */
static fov_attention_args *place(const fov_attention_args *args, size_t size)
{
    size_t known = sizeof *args, room = size > known + 4096 ? known : size < sizeof(size_t) ? sizeof(size_t) : size;
    fov_attention_args *placed = calloc(1, room);
    memcpy(placed, args, room < known ? room : known);
    return placed;
}

static void expect_refusal(fov_status status)
{
    if (status == FOV_OK || status == FOV_CANCELLED) fail("a wrong call has status %d", (int)status);
    if (!*fov_last_problem()) fail("status %d without a text", (int)status);
    if (!*fov_status_string(status)) fail("status %d without a name", (int)status);
}

static void check_untouched(const description *d)
{
    for (int i = 0; i < N_AREAS; i++)
        if (!area_is_untouched(&d->areas[i])) fail("array %d was written by a refused call", i);
}

/* Both entry points refuse, with and without a workspace. */
static void check_refused(description *d)
{
    char workspace[256];
    size_t size = 1;
    fov_attention_args *args = place(&d->args, d->args.size);
    fov_status status = fov_workspace_size(args, &size);
    expect_refusal(status);
    if (size != 0) fail("a wrong call needs %zu bytes", size);
    if (fov_attention(args, workspace, sizeof workspace) != status) fail("fov_attention does not give status %d", (int)status);
    if (fov_attention(args, NULL, 0) != status) fail("without a workspace the status is not %d", (int)status);
    check_untouched(d);
    free(args);
}

static void check_results(description *d)
{
    for (int i = 0; i < N_AREAS; i++) {
        area *a = &d->areas[i];
        if (!a->block) continue;
        int used = a->is_written && d->is_tame;
        if (used && !area_is_finite(a, i == LSE || i == LOGITS)) fail("array %d is not finite", i);
        if (!area_is_respected(a))
            fail(a->is_written ? "bytes between elements of array %d were written" : "array %d was written", i);
    }
}

static void check_valid(description *d, choices *in)
{
    size_t later = TAKE_OF(in, size_t, 0, 0, 0, 8, 1, 4096), odd = take(in) % 64, needed = 0;
    unsigned lack = take(in);
    d->args.size += later;
    fov_attention_args *args = place(&d->args, d->args.size);
    fov_status status = fov_workspace_size(args, &needed);
    if (status != FOV_OK) fail("fov_workspace_size gives %d", (int)status);
    if (later) {
        ((char *)args)[d->args.size - 1] = 1; /* a field that is still to come */
        expect_refusal(fov_attention(args, &d, sizeof d));
        check_untouched(d);
        ((char *)args)[d->args.size - 1] = 0;
    }
    if (lack >= 250 && d->batch && args->n_q_heads && args->q_len) {
        size_t room = lack & 1 ? 0 : (size_t)lack % 64;
        char *little = malloc(room);
        status = fov_attention(args, little, room);
        if (needed > 128 && status != FOV_ERROR_WORKSPACE) fail("%zu bytes of %zu are enough", room, needed);
        free(little);
    } else {
        char *workspace = malloc(odd + needed);
        status = fov_attention(args, workspace + odd, needed);
        if (status != (d->cancel ? FOV_CANCELLED : FOV_OK))
            fail("fov_attention gives %d, *cancel is %d", (int)status, (int)d->cancel);
        if (status == FOV_CANCELLED) d->is_tame = 0;
        check_results(d);
        free(workspace);
    }
    free(args);
}

static void fuzz_call(choices *in)
{
    description d;
    description_make(&d, in);
    unsigned way = take(in);
    if (way & 1 && spoil(&d, way >> 1, in)) check_refused(&d);
    else check_valid(&d, in);
    description_free(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    choices in = {data, size};
    choose_isa(&in);
    switch (take(&in) % 8) {
    case 6: fuzz_sizes(&in); break;
    case 7: fuzz_merge(&in); break;
    default: fuzz_call(&in);
    }
    return 0;
}
