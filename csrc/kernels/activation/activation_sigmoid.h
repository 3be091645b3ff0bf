/* Activation sigmoid: w_j = 1 / (1 + exp(-x_j)), not normalised (Ramapuram et al. 2024). reference.py: ACTIVATIONS["sigmoid"].
 * Masked logits are -inf and give exactly 0. No row state: init and finish only set the factors to 1. */

static void FOV_NAME(activation_sigmoid_init)(fov_block *b)
{
    for (int i = 0; i < b->n_lanes; i++) {
        ((real *)b->row_max)[i] = 0;
        ((real *)b->row_sum)[i] = 0;
        ((real *)b->row_factor)[i] = 1;
    }
}

static void FOV_NAME(activation_sigmoid_weights)(fov_block *b)
{
    const vr c = vr_set1((real)(-1.4426950408889634 * b->multiplier)), one = vr_set1(1);
    const int64_t n = (int64_t)b->n_steps * b->n_lanes;
    real *tile = b->tile;
#pragma GCC unroll 4
    for (int64_t i = 0; i < n; i += VR_LANES)
        vr_store(tile + i, vr_div(one, vr_add(one, FOV_NAME(exp2)(vr_mul(vr_load(tile + i), c)))));
}

static int FOV_NAME(activation_sigmoid_tile)(fov_block *b)
{
    FOV_NAME(activation_sigmoid_weights)(b);
    return 0;
}

static void FOV_NAME(activation_sigmoid_finish)(fov_block *b, const double *sinks)
{
    (void)sinks; /* the table says that it takes none */
    for (int i = 0; i < b->n_lanes; i++) ((real *)b->row_factor)[i] = 1;
}

static void FOV_NAME(activation_sigmoid_merge)(fov_block *into, fov_block *from)
{
    FOV_NAME(activation_sigmoid_finish)(into, NULL);
    FOV_NAME(activation_sigmoid_finish)(from, NULL);
}

#define FOV_ACTIVATION_ENTRY_sigmoid                                                                                             \
    {.has_lse = 0,                                                                                                               \
     .takes_sinks = 0,                                                                                                           \
     .init = FOV_NAME(activation_sigmoid_init),                                                                                  \
     .tile = FOV_NAME(activation_sigmoid_tile),                                                                                  \
     .finish = FOV_NAME(activation_sigmoid_finish),                                                                              \
     .weights = FOV_NAME(activation_sigmoid_weights),                                                                            \
     .merge = FOV_NAME(activation_sigmoid_merge),                                                                                \
     .lse = NULL}
