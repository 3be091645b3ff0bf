/* What the elementwise activations share: weights that are not normalised, hence no state. Their weights() is the whole pass, in
 * which a masked logit (-inf) gives exactly 0; the factors of the rows are 1. */

static void FOV_NAME(activation_elementwise_init)(fov_block *b)
{
    for (int i = 0; i < b->n_lanes; i++) {
        ((real *)b->row_max)[i] = 0;
        ((real *)b->row_sum)[i] = 0;
        ((real *)b->row_factor)[i] = 1;
    }
}

static void FOV_NAME(activation_elementwise_finish)(fov_block *b, const double *sinks)
{
    (void)sinks; /* the table says that they take none */
    for (int i = 0; i < b->n_lanes; i++) ((real *)b->row_factor)[i] = 1;
}

static void FOV_NAME(activation_elementwise_merge)(fov_block *into, fov_block *from)
{
    FOV_NAME(activation_elementwise_finish)(into, NULL);
    FOV_NAME(activation_elementwise_finish)(from, NULL);
}

#define FOV_ELEMENTWISE_ENTRY(kernel)                                                                                            \
    {.elementwise = 1,                                                                                                           \
     .init = FOV_NAME(activation_elementwise_init),                                                                              \
     .finish = FOV_NAME(activation_elementwise_finish),                                                                          \
     .weights = FOV_NAME(activation_##kernel##_weights),                                                                         \
     .merge = FOV_NAME(activation_elementwise_merge)}
