/* Activation sigmoid: w_j = 1 / (1 + exp(-(x_j + bias))), not normalised (Ramapuram et al. 2024). reference.py:
 * ACTIVATIONS["sigmoid"]. */

static void FOV_NAME(activation_sigmoid_weights)(fov_block *b)
{
    const vr c = vr_set1((real)(-1.4426950408889634 * b->multiplier)), one = vr_set1(1);
    const vr bias = vr_set1((real)(-1.4426950408889634 * b->sigmoid_bias));
    const int64_t n = (int64_t)b->n_steps * b->n_lanes;
    real *tile = b->tile;
#pragma GCC unroll 4
    for (int64_t i = 0; i < n; i += VR_LANES)
        vr_store(tile + i, vr_reciprocal(vr_add(one, FOV_NAME(exp2)(vr_fma(vr_load(tile + i), c, bias)))));
}

#define FOV_ACTIVATION_ENTRY_sigmoid FOV_ELEMENTWISE_ENTRY(sigmoid)
