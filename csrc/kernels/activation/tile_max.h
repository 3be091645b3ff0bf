/* The largest tile value of each row, for activations that need a maximum; what the lanes of a row share. */

/* The lanes of a row agree on one maximum, or on one sum. No NaN among the maxima: tile_max passes them over. */
FOV_INLINE vr FOV_NAME(share_max)(vr max, int key_lanes)
{
    for (int step = 1; step < key_lanes; step *= 2) max = vr_max(vr_swap(max, step), max);
    return max;
}

FOV_INLINE vr FOV_NAME(share_sum)(vr sum, int key_lanes)
{
    for (int step = 1; step < key_lanes; step *= 2) sum = vr_add(vr_swap(sum, step), sum);
    return sum;
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
