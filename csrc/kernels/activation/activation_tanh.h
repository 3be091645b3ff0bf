/* Activations tanh and identity, w_j = tanh x_j and w_j = x_j: signed, not normalised. reference.py: ACTIVATIONS["tanh"]. */

FOV_INLINE void FOV_NAME(signed_tile)(fov_block *b, const int is_tanh)
{
    const vr c = vr_set1((real)b->multiplier), none = vr_set1(-(real)INFINITY);
    const int64_t n = (int64_t)b->n_steps * b->n_lanes;
    real *tile = b->tile;
#pragma GCC unroll 2
    for (int64_t i = 0; i < n; i += VR_LANES) {
        vr x = vr_mul(vr_load(tile + i), c), w = is_tanh ? FOV_NAME(tanh)(x) : x;
        vr_store(tile + i, vr_select(vr_eq(x, none), vr_zero(), w));
    }
}

static void FOV_NAME(activation_tanh_weights)(fov_block *b) { FOV_NAME(signed_tile)(b, 1); }
static void FOV_NAME(activation_identity_weights)(fov_block *b) { FOV_NAME(signed_tile)(b, 0); }

#define FOV_ACTIVATION_ENTRY_tanh FOV_ELEMENTWISE_ENTRY(tanh)
#define FOV_ACTIVATION_ENTRY_identity FOV_ELEMENTWISE_ENTRY(identity)
