/* The contract between the driver and the kernels: one block of work, and the table of stages that treat it.
 *
 * A block is some query rows against up to FOV_MAX_TILE_KEYS keys. Its logits live in a tile [n_steps][n_lanes] of reals (float,
 * or double for f64), queries in the lanes, whatever the ISA, and become weights in place. `void *` below always points to
 * reals of the table's type; the driver never looks inside.
 *
 * Two orientations, the same tile and the same passes over it:
 *   lanes   one lane per row, one step per key. query [head_dim][n_lanes], accumulators [value_dim][n_lanes]: every K and V
 *           element is broadcast to the lanes.
 *   rows    few query rows (decode): a row owns key_lanes lanes, so that no lane idles; lane row * key_lanes + j of step s holds
 *           key s * key_lanes + j. query [n_lanes / key_lanes][head_dim], accumulators [n_rows][value_dim]: vectors run along
 *           head_dim and value_dim. After each activation all lanes of a row have the same row_max and row_factor. */
#ifndef FOV_KERNEL_TYPES_H
#define FOV_KERNEL_TYPES_H

#include <stdint.h>

#define FOV_MAX_LANES 48     /* 3 vectors of 16 */
#define FOV_MAX_VECTORS 3
#define FOV_MAX_TILE_KEYS 256
#define FOV_TILE_KEYS 16 /* a tile of the tile registers: keys, or columns of values */
#define FOV_TILE_DEPTH 32 /* numbers that a tile product sums over: columns of keys, or keys */
#define FOV_N_DTYPES 4 /* f32 f64 f16 bf16, in the order of fov_dtype */

enum {
#define FOV_QUANTIZED(name, DTYPE) FOV_QUANTIZED_INDEX_##name,
#include "kernels/kernels.def"
    FOV_N_QUANTIZED
};
enum {
#define FOV_SCORE(name, kernel) FOV_SCORE_INDEX_##name,
#include "kernels/kernels.def"
    FOV_N_SCORES
};
enum {
#define FOV_ACTIVATION(name, kernel) FOV_ACTIVATION_INDEX_##name,
#include "kernels/kernels.def"
    FOV_N_ACTIVATIONS
};
enum {
#define FOV_COMBINE(name, kernel) FOV_COMBINE_INDEX_##name,
#include "kernels/kernels.def"
    FOV_N_COMBINES
};

/* Keys or values of another type than the reals, for kernels of few rows that convert while they read. The columns are contiguous,
 * and fill whole vectors. */
typedef struct fov_stored {
    int dtype; /* FOV_F16, FOV_BF16, FOV_INT8 or FOV_F8_E4M3 */
    const char *rows;
    int64_t row_bytes;
    const char *scales; /* of the last two: a float for each row; NULL: ones */
    int64_t scale_bytes;
} fov_stored;

typedef struct fov_block {
    void *tile; /* [n_steps][n_lanes] */
    int n_keys, n_rows;
    int n_lanes;   /* a multiple of vector_lanes */
    int key_lanes; /* lanes per row: 1 in the orientation lanes */
    int n_steps;   /* ceil(n_keys / key_lanes); what the last one has too much is masked by the driver */
    /* orientation lanes, 1: of each vector of lanes some row attends keys vector_first <= key < vector_last only, both ascending;
     * scores elsewhere may be left 0, weights there are 0. Scores and combines may overlook it. */
    int trimmed, vector_first[FOV_MAX_VECTORS], vector_last[FOV_MAX_VECTORS];
    const void *query;
    const void *key, *value; /* rows of this block, contiguous along the row */
    int64_t key_ld, value_ld; /* elements from row to row */
    fov_stored stored_key, stored_value; /* in place of them for rows_stored and tile_stored */
    const char *ahead[2]; /* rows that come next, a quarter as many as there are keys here; task.h, ahead.c */
    int64_t ahead_bytes[2]; /* from row to row */
    int64_t ahead_step[2]; /* bytes from quarter to quarter; a block of fewer than FOV_MAX_VECTORS asks for four of them */
    int64_t head_dim, value_dim; /* head_dim: of what the score sees, after any projection */
    const void *query_code,
        *key_code; /* what the score's encode made of query and key; query_code lies like query, key_code has */
    const void *query_reach, *key_reach; /* head_dim columns; one real for each row */
    const void *score_v; /* additive: [head_dim] */
    double sigmoid_bias;
    const void *query_tiles, *key_tiles, *value_tiles; /* for fov_tiles */
    int64_t key_tiles_bytes; /* from row to row of key_tiles */
    int n_planes; /* of bf16 numbers that stand for each of a tile product: 1 to 3 */
    void *
        weight_tiles; /* of three planes: [keys / 2][plane][n_lanes] pairs of weights; of few rows: [keys / 16] two tiles of [16 rows][16 keys] */
    int has_rounded_weights; /* the weights of the tile are bf16 numbers already */
    void *accumulators;
    double multiplier; /* tile value * multiplier = logit; the first pass that computes folds it in; > 0 at the activation */
    void *row_max; /* [n_lanes] state of the activation; softmax: the reference maximum, in units of the tile */
    void *row_sum; /* [n_lanes] softmax: sum of exp((tile value - row_max) multiplier) */
    void *row_factor; /* [n_lanes] what the accumulators of a row are to be multiplied with */
} fov_block;

typedef void (*fov_block_fn)(fov_block *block);

typedef struct fov_score {
    fov_block_fn lanes, rows; /* fills the tile */
    fov_block_fn rows_stored; /* rows, from stored_key; NULL: there is none */
    /* code[n_rows][dim] of rows of queries or keys, reach[n_rows]; NULL where the score reads them as they are */
    void (*encode)(const void *rows, int64_t ld, int64_t n_rows, int64_t dim, void *code, void *reach);
    int code_replaces; /* the code stands for the rows: the block's query and key are the codes */
} fov_score;

/* Three kinds. Normalising: all functions. Elementwise: `weights` turns a tile of logits into its final weights and no tile().
 * Sparse: only `reach` and `solve`; the driver collects the logits of a row that may get a weight, and solves for all of them at once. */
typedef struct fov_activation {
    int elementwise, has_lse; /* has_lse: finish leaves what lse() needs */
    int takes_sinks; /* finish takes one more logit per row */
    int extra_logit; /* every row has a sink of 0 */
    double (*reach)(double alpha); /* logits this far below the largest, or farther, have weight 0 */
    void (*solve)(double *logits, int64_t n, double alpha); /* to weights in place; n > 0, no NaN, no +inf */
    void (*init)(fov_block *block);
    int (*tile)(fov_block *block); /* logits -> weights in place; 1: multiply the accumulators by row_factor first */
    int (*tile_rounded)(fov_block *block); /* the same with weights that are bf16 numbers, and their sum; NULL: there is none */
    void (*finish)(fov_block *block, const double *sinks); /* row_factor = the last factor of each row; sinks[n_rows] or NULL */
    void (*weights)(fov_block *block); /* after finish: logits -> final weights, in place */
    void (*merge)(fov_block *into, fov_block *from); /* joins two states, sets the row_factor of both */
    void (*lse)(const fov_block *block, const double *sinks,
                double *lse); /* after finish: lse[n_rows], natural; NULL without has_lse */
} fov_activation;

/* accumulators += weights of the tile * value. `selected` is the careful form for a block whose values hold NaN or Inf while some
 * rows do not attend them: attend has one bit per step, word [step / 32][lane], and a cleared bit keeps the value out altogether. */
typedef struct fov_accumulate {
    fov_block_fn tile;
    fov_block_fn tile_stored; /* tile, from stored_value; NULL: there is none */
    void (*selected)(fov_block *block, const uint32_t *attend);
    int (*rescale)(fov_block *block); /* accumulators *= row_factor; 0: one of them was NaN or Inf */
    void (*merge)(fov_block *into, fov_block *from); /* into = into * its row_factor + from * its row_factor */
} fov_accumulate;

typedef struct fov_combine {
    fov_accumulate lanes, rows;
} fov_combine;

/* The logits of the rows of a query block that may get a weight, in the order of their keys. */
typedef struct fov_lists {
    void *values; /* reals, tile values; row r begins at r * stride */
    int32_t *keys;
    int64_t stride;
    int64_t n[FOV_MAX_LANES]; /* per row */
    void *limit; /* [n_lanes]: only what is above it joins */
} fov_lists;

typedef struct fov_list_kernels {
    /* row_max and limit from the tile; reach in units of the logits */
    void (*raise)(fov_block *block, fov_lists *lists, double reach);
    void (*collect)(const fov_block *block, int64_t first_key, fov_lists *lists);
    /* keeps the k largest of n > k, ties: the first, in their order. Returns a value that k of them are above or equal to. */
    double (*keep)(void *values, int32_t *keys, int64_t n, int64_t k);
    void (*set_limit)(fov_lists *lists, int first_lane, int n_lanes, double limit);
    /* out[dim] += sum_i weights_i rows[keys_i] */
    void (*weighted_sum)(const void *rows, int64_t ld, const int32_t *keys, const void *weights, int64_t n, int64_t dim,
                         void *out);
    void (*scaled)(const void *row, const void *weight, int64_t dim, void *out); /* out = weight * row */
} fov_list_kernels;

/* Passes over a tile, in the order of the definition of the logits. Each folds block->multiplier in. */
typedef struct fov_modifiers {
    fov_block_fn scale;
    void (*softcap)(fov_block *block, double cap); /* cap * tanh(x / cap) */
    void (*alibi)(fov_block *block, const double *slopes, const double *distance); /* + slope (distance + step key_lanes) */
    void (*mask)(fov_block *block, const uint32_t *attend); /* a cleared bit makes the logit -inf */
    int (*any_masked)(const fov_block *block); /* some logit is -inf */
    /* per head of the group: sum and maximum over its rows; lane i is of head (first_head + i / key_lanes) % group_size */
    void (*totals)(const fov_block *block, int first_head, int group_size, int is_max, double *totals, int64_t stride);
    void (*differ)(const fov_block *block, double excluded, uint32_t *attend); /* the bits of the tile that are not `excluded` */
    void (*query_norms)(const fov_block *block,
                        double *norms); /* at least the length of the query of each lane, orientation lanes */
    float (*largest_norm)(const void *rows, int64_t ld, int64_t n_rows, int64_t dim); /* at least that of the longest row; > 0 */
    double (*reference)(const fov_block *block, int row); /* row_max */
} fov_modifiers;

/* Between arrays of a storage type and contiguous reals. Sources may be misaligned; steps are in bytes, of any sign. */
typedef struct fov_moves {
    void (*row_in)(const char *source, int64_t step, int64_t n, void *reals);
    /* rows row_bytes apart, to rows of n_columns reals */
    void (*rows_in)(const char *source, int64_t row_bytes, int64_t step, int64_t n_rows, int64_t n_columns, void *reals);
    void (*row_out)(const void *reals, int64_t n, char *target, int64_t step);
    /* tile [n_steps][n_lanes] <-> one pointer per lane; NULL lanes read as 0 and are not written */
    void (*gather)(const char *const *lanes, int64_t step, int64_t n_steps, int n_lanes, void *tile);
    /* tile * multiplier + what gather reads; there -inf masks whatever the tile holds */
    void (*gather_add)(const char *const *lanes, int64_t step, int64_t n_steps, int n_lanes, double multiplier, void *tile);
    void (*scatter)(const void *tile, int64_t n_steps, int n_lanes, char *const *lanes, int64_t step);
} fov_moves;

/* n elements of a row, `step` bytes apart, times the scale of the row */
typedef void (*fov_quantized_in)(const char *source, int64_t step, int64_t n, float scale, void *reals);

typedef struct fov_kernels {
    int real_bytes; /* 4 or 8 */
    double least, largest; /* normal positive reals */
    int vector_lanes; /* reals per vector */
    int max_vectors; /* the widest tile is max_vectors * vector_lanes queries */
    fov_score score[FOV_N_SCORES];
    fov_modifiers modify;
    fov_activation activation[FOV_N_ACTIVATIONS];
    fov_combine combine[FOV_N_COMBINES];
    fov_list_kernels lists;
    fov_moves moves[FOV_N_DTYPES];
    fov_quantized_in quantized_in[FOV_N_QUANTIZED];
    /* n_keys bytes of a bool mask for each row, `step` apart, to bits in the lanes of a block: words[step / 32][n_lanes], as attend
     * below; lanes without a row have none */
    void (*pack_bits)(const char *const *rows, int n_rows, int64_t step, int n_keys, int key_lanes, uint32_t *words, int n_lanes);
    int (*all_finite)(const void *rows, int64_t ld, int64_t n_rows, int64_t n_columns);
} fov_kernels;

/* Products of bf16 numbers in tile registers, in place of the kernels of the orientation lanes, where queries, keys or values are such
 * numbers, or are taken as sums of n_planes of them. The tile of logits, and of weights, stays what it is: f32, queries in the lanes; logits
 * need memory for n_keys rounded up to FOV_TILE_KEYS steps, weights for FOV_TILE_DEPTH, and accumulators for value_dim rounded up to
 * FOV_TILE_KEYS. Columns and keys that fill such a piece up are zeros.
 *   query_tiles  [plane][columns / 2][n_lanes] pairs of columns
 *   key_tiles    rows of [plane][columns], key_tiles_bytes apart; n_keys rounded up to FOV_TILE_KEYS of them are read
 *   value_tiles  [keys / 32][plane][columns / 16] tiles of [16 columns][32 keys]
 *
 * The functions of rows are for the orientation rows, with 16 lanes of one row each, and numbers that are bf16: values are read where they lie. */
typedef struct fov_tiles {
    int (*check)(void); /* 1: a small product is what plain C makes of it */
    void (*enter)(void), (*leave)(void); /* the tile registers of a thread */
    void (*pack_query)(const fov_block *block, void *query_tiles); /* from query, whose numbers are bf16 */
    /* n_rows rows of bf16, row_bytes apart, columns contiguous; 0: there were NaN or Inf, which are zeros in value_tiles */
    int (*pack_values)(const char *rows, int64_t row_bytes, int64_t n_rows, int64_t n_columns, void *value_tiles);
    /* The same from any reals, rows ld apart; 0: there were NaN or Inf, which are zeros in the tiles. */
    int (*split_query)(const fov_block *block, void *query_tiles);
    int (*split_keys)(const fov_block *block, const void *rows, int64_t ld, int64_t n_rows, void *key_tiles);
    int (*split_values)(const fov_block *block, const void *rows, int64_t ld, int64_t n_rows, void *value_tiles);
    fov_block_fn score; /* the dot product, from query_tiles and key_tiles */
    fov_block_fn
        score_not_finite; /* after it, from query and key: the logits that NaN and Inf take part in, where tiles were split */
    /* accumulators += weights * value for those of the block's values alone, where their keys are attended; before weighted_sum */
    void (*add_not_finite)(fov_block *block, const uint32_t *attend);
    /* from the tile of weights and value_tiles; it leaves the weights packed in the tile, three planes elsewhere: one rounds them to bf16, more need value */
    fov_block_fn weighted_sum;

    void (*pack_query_rows)(const fov_block *block, void *query_tiles);
    int (*rows_finite)(const char *rows, int64_t row_bytes, int64_t n_rows, int64_t n_columns); /* of bf16 */
    fov_block_fn score_rows; /* asks for stored_value meanwhile */
    void (*add_not_finite_rows)(fov_block *block, const uint32_t *attend);
    fov_block_fn weighted_sum_rows; /* stored_value, finite; weight_tiles is room for pairs; asks for the tile after stored_key */
} fov_tiles;

/* One per ISA. enter sets the floating point environment of a task (round to nearest, results below the normal range
 * flushed to zero), leave restores the caller's. */
typedef struct fov_isa {
    const char *name;
    const fov_kernels *f32, *f64;
    uint64_t (*enter)(void);
    void (*leave)(uint64_t saved);
    const fov_tiles *tiles; /* NULL: there are none */
} fov_isa;

#define FOV_ISA(name) extern const fov_isa fov_isa_##name;
#include "kernels/kernels.def"

#endif
