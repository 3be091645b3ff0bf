/* The largest tile value of each row, for activations that need a maximum. */

/* The lanes of a row agree on one maximum. Once per tile of few rows: plain code. */
FOV_INLINE vr FOV_NAME(share_max)(vr max, int key_lanes)
{
    real lane[VR_LANES];
    vr_store(lane, max);
    for (int i = 0; i < VR_LANES; i += key_lanes) {
        real m = lane[i];
        for (int j = 1; j < key_lanes; j++) m = lane[i + j] > m || m != m ? lane[i + j] : m;
        for (int j = 0; j < key_lanes; j++) lane[i + j] = m;
    }
    return vr_load(lane);
}

/* The largest tile value of each lane; NaN is passed over. Four chains per vector: one alone is bound by the latency of max. */
FOV_INLINE void FOV_NAME(tile_max)(const real *tile, int n_steps, vr *max, const int n_vectors)
{
    const int n_lanes = n_vectors * VR_LANES;
    vr m[4][3];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
#pragma GCC unroll 3
        for (int j = 0; j < n_vectors; j++) m[i][j] = vr_set1(-(real)INFINITY);
    int k = 0;
    for (; k + 4 <= n_steps; k += 4)
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
#pragma GCC unroll 3
            for (int j = 0; j < n_vectors; j++) m[i][j] = vr_max(vr_load(tile + (k + i) * n_lanes + j * VR_LANES), m[i][j]);
    for (; k < n_steps; k++)
#pragma GCC unroll 3
        for (int j = 0; j < n_vectors; j++) m[0][j] = vr_max(vr_load(tile + k * n_lanes + j * VR_LANES), m[0][j]);
#pragma GCC unroll 3
    for (int j = 0; j < n_vectors; j++) max[j] = vr_max(vr_max(m[0][j], m[1][j]), vr_max(m[2][j], m[3][j]));
}
