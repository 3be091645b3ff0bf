/* A function of the caller may use the tile registers for itself, and leave them as it likes. */
#include <string.h>

#include "callbacks.h"
#include "dispatch/dispatch.h"
#include "simd/half.h"
#include "tensor.h"

enum { HEADS = 2, LENGTH = 70, DIM = 33, N = HEADS * LENGTH * DIM };

static int64_t n_calls;

static void release_tiles(const fov_logits_tile *tile, void *user)
{
    const fov_tiles *tiles = user;
    (void)tile;
    n_calls++;
    if (tiles) tiles->leave();
}

static int release_tiles_too(const fov_logits_tile *tile, void *user)
{
    release_tiles(tile, user);
    return 1;
}

static void run(fov_modifier_fn modifier, fov_tile_mask_fn tile_mask, const fov_tiles *tiles, uint16_t *output)
{
    static uint16_t x[3][N];
    random_state random = {7};
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < N; j++) x[i][j] = fov_f32_to_bf16((float)random_uniform(&random, -1, 1));
    fov_array rows = {.data = x[0], .head_bytes = 2 * LENGTH * DIM, .row_bytes = 2 * DIM, .column_bytes = 2};
    fov_attention_args args = {.size = sizeof args, .stages = FOV_STAGE_ALL, .dtype = FOV_BF16, .n_threads = 1, .scale = 0.2};
    args.n_q_heads = args.n_kv_heads = HEADS;
    args.q_len = args.kv_len = args.kv_lengths.value = LENGTH;
    args.head_dim = args.value_dim = DIM;
    args.window_left = args.window_right = FOV_OPEN;
    args.query = args.key = args.value = args.output = rows;
    args.key.data = x[1], args.value.data = x[2], args.output.data = output;
    args.modifier = modifier, args.tile_mask = tile_mask;
    args.modifier_user = args.tile_mask_user = (void *)tiles;
    size_t size;
    check(fov_workspace_size(&args, &size) == FOV_OK, "%s", fov_last_problem());
    guarded workspace = guarded_new(size, 1, 1);
    check(fov_attention(&args, workspace.data, size) == FOV_OK, "%s", fov_last_problem());
    guarded_free(&workspace);
}

void test_tiles_left_behind(int isa)
{
    static uint16_t alone[N], with_modifier[N], with_mask[N];
    const fov_tiles *tiles = fov_compiled_isa(isa)->tiles;
    check_begin("%s functions of the caller that use tile registers", fov_isa_name(isa));
    n_calls = 0;
    run(NULL, NULL, NULL, alone);
    run(release_tiles, NULL, tiles, with_modifier);
    run(NULL, release_tiles_too, tiles, with_mask);
    check(n_calls >= 2 * HEADS, "%d calls", (int)n_calls);
    check(memcmp(alone, with_modifier, sizeof alone) == 0, "other bits after a modifier");
    check(memcmp(alone, with_mask, sizeof alone) == 0, "other bits after a tile mask");
}
