#include "fuzz_others.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "area.h"
#include "foveate/foveate.h"
#include "hosts.h"

static int64_t any_size(choices *in)
{
    return TAKE_OF(in, int64_t, 1, 0, 2, 3, 64, 1000, 8193, 1 << 20, INT32_MAX, INT64_C(1) << 31, INT64_C(1) << 40,
                   INT64_C(1) << 59, INT64_C(1) << 60, INT64_C(1) << 61, (INT64_C(1) << 62) - 1, INT64_C(1) << 62, INT64_MAX, -1,
                   INT64_MIN);
}

void fuzz_sizes(choices *in)
{
    static char nothing[1]; /* no call may get so far as to read it */
    int64_t batch_shape[2], strides[3] = {0};
    fov_attention_args a;
    memset(&a, 0, sizeof a);
    a.size = sizeof a;
    a.stages = FOV_STAGE_ALL;
    a.score = (int32_t)(take(in) % 5);
    a.activation = (int32_t)(take(in) % 11);
    a.combine = (int32_t)(take(in) % 3);
    a.dtype = (int32_t)(take(in) % 4);
    a.n_batch_axes = (int32_t)(take(in) % 3);
    a.batch_shape = batch_shape;
    for (int i = 0; i < a.n_batch_axes; i++) batch_shape[i] = any_size(in);
    a.n_kv_heads = any_size(in);
    a.n_q_heads = take(in) & 1 ? any_size(in) : a.n_kv_heads;
    a.q_len = any_size(in);
    a.kv_len = a.kv_lengths.value = any_size(in);
    a.head_dim = any_size(in);
    a.value_dim = any_size(in);
    a.n_threads = TAKE_OF(in, int32_t, 1, 2, 0, INT32_MAX, INT32_MIN);
    a.scale = a.select_temperature = 1;
    a.entmax_alpha = 1.5;
    a.top_k = any_size(in);
    a.select_k = any_size(in);
    a.window_left = a.window_right = FOV_OPEN;
    a.query = a.key = a.value = a.output = (fov_array){.data = nothing, .batch_bytes = strides, .dtype = a.dtype};
    unsigned options = take(in);
    if (options & 1) a.key_dim = any_size(in);
    if (options & 2) a.score_dim = any_size(in);
    if (options & 4) a.score_w_q = (fov_parameter){nothing, options & 8 ? 1 : 0, 1};
    if (options & 16) a.key_stats_kind = FOV_KEY_STATS_SUM, a.key_stats = a.output, a.key_stats.dtype = a.dtype == FOV_F64;
    if (options & 32) a.parallel_for = (fov_parallel_for_fn)(void (*)(void))abort;

    size_t size = 0;
    fov_status status = fov_workspace_size(&a, &size);
    if ((status == FOV_OK) != (size > 0)) fail("status %d with a workspace of %zu bytes", (int)status, size);
    if (status != FOV_OK && !*fov_last_problem()) fail("status %d without a text", (int)status);
    int empty = a.q_len == 0 || a.n_q_heads == 0; /* such a call does without a workspace */
    for (int i = 0; i < a.n_batch_axes; i++) empty |= batch_shape[i] == 0;
    if (status == FOV_OK && empty) return;
    fov_status again = fov_attention(&a, NULL, 0);
    if (again != (status == FOV_OK ? FOV_ERROR_WORKSPACE : status)) fail("status %d became %d", (int)status, (int)again);
}

static void fuzz_index(choices *in)
{
    int index = TAKE_OF(in, int, 0, 1, 4, 10, 11, -1, INT32_MAX, INT32_MIN);
    const char *names[] = {fov_score_name(index),
                           fov_activation_name(index),
                           fov_combine_name(index),
                           fov_isa_name(index),
                           fov_status_string((fov_status)(index & 15)),
                           fov_last_problem()};
    size_t length = 0;
    for (int i = 0; i < 6; i++) length += names[i] ? strlen(names[i]) : 0;
    if (length > 4096 || fov_isa_available(index) & ~1 || fov_activation_has_lse(index) & ~1) fail("index %d", index);
    if (fov_set_isa("avx7") == FOV_OK) fail("an unknown ISA was accepted");
}

enum { OUT_A, LSE_A, OUT_B, LSE_B, OUT_INTO, LSE_INTO, N_PARTS };

static void make_part(area *a, choices *in, int dtype, int64_t rows, int64_t dim, int part)
{
    int64_t shape[] = {rows, dim}; /* contiguous, but at any address */
    unsigned odd = take(in) % 8;
    if (part % 2) shape[1] = 1;
    area_make_plain(a, dtype, 2, shape, 0, odd);
    a->is_written = part >= OUT_INTO;
    if (part >= OUT_INTO) return;
    area_fill(a, odd < 6 ? part % 2 ? GAPPED : TAME : WILD, odd);
}

void fuzz_merge(choices *in)
{
    unsigned bad = take(in), same = take(in);
    int dtype = take(in) & 1 ? FOV_F64 : FOV_F32, tame = 1;
    int64_t rows = TAKE_OF(in, int64_t, 1, 2, 3, 7, 0, 33), dim = TAKE_OF(in, int64_t, 2, 1, 3, 0, 17);
    area parts[N_PARTS];
    for (int i = 0; i < N_PARTS; i++) make_part(&parts[i], in, dtype, rows, dim, i);
    for (int i = 0; i < OUT_INTO; i++) tame &= area_is_finite(&parts[i], i % 2);
    fov_state a = {parts[OUT_A].start, parts[LSE_A].start}, b = {parts[OUT_B].start, parts[LSE_B].start};
    fov_state into = {parts[OUT_INTO].start, parts[LSE_INTO].start}, *const states[] = {&a, &b, &into};
    const fov_state *into_or = &into;
    int refused = 1;
    switch (bad % 16) {
    case 1: dtype = TAKE_OF(in, int, 2, 3, 4, -1, 99); break;
    case 2: rows = TAKE_OF(in, int64_t, -1, INT64_MIN); break;
    case 3: dim = TAKE_OF(in, int64_t, -1, INT64_MIN); break;
    case 4: rows = dim = INT64_C(1) << 40; break;
    case 5: states[same % 3]->lse = NULL, refused = rows > 0; break;
    case 6: states[same % 3]->output = NULL, refused = rows > 0 && dim > 0; break;
    case 7: into_or = NULL; break;
    default: refused = 0;
    }
    if (!refused && bad % 16 > 7 && same % 4 == 1) into_or = &a;
    if (!refused && bad % 16 > 7 && same % 4 == 2) into_or = &b;
    fov_status status = fov_merge(dtype, rows, dim, &a, &b, into_or);
    if ((status != FOV_OK) != refused) fail("fov_merge gives %d", (int)status);
    if (refused && !*fov_last_problem()) fail("fov_merge refuses without a text");
    for (int i = 0; i < N_PARTS; i++) {
        int is_into = into_or == &a ? i < OUT_B : into_or == &b ? i / 2 == 1 : i >= OUT_INTO;
        if (refused && !area_is_untouched(&parts[i])) fail("part %d was written by a refused merge", i);
        if (!refused && tame && is_into && !area_is_finite(&parts[i], i % 2)) fail("part %d is not finite", i);
        if (!(is_into && i < OUT_INTO) && !area_is_respected(&parts[i])) fail("part %d was written", i);
        area_free(&parts[i]);
    }
    fuzz_index(in);
}
