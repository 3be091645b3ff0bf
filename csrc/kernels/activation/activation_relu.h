/* Activations relu, w_j = max(x_j, 0) (Wortsman et al. 2023), and relu2, its square (So et al. 2021), not normalised. reference.py:
 * ACTIVATIONS["relu"]. */

FOV_INLINE void FOV_NAME(relu_tile)(fov_block *b, const int square)
{
    const vr c = vr_set1((real)b->multiplier), zero = vr_zero();
    const int64_t n = (int64_t)b->n_steps * b->n_lanes;
    real *tile = b->tile;
#pragma GCC unroll 4
    for (int64_t i = 0; i < n; i += VR_LANES) {
        vr x = vr_max(zero, vr_mul(vr_load(tile + i), c)); /* NaN is the second operand, and stays */
        vr_store(tile + i, square ? vr_mul(x, x) : x);
    }
}

static void FOV_NAME(activation_relu_weights)(fov_block *b) { FOV_NAME(relu_tile)(b, 0); }
static void FOV_NAME(activation_relu2_weights)(fov_block *b) { FOV_NAME(relu_tile)(b, 1); }

#define FOV_ACTIVATION_ENTRY_relu FOV_ELEMENTWISE_ENTRY(relu)
#define FOV_ACTIVATION_ENTRY_relu2 FOV_ELEMENTWISE_ENTRY(relu2)
