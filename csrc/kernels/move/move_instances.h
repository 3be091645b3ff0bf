/* The moves of one storage type, FOV_MOVE_NAME and FOV_MOVE_DTYPE, as functions with the table's signatures. */
static void FOV_NAME(FOV_MOVE(row_in))(const char *source, int64_t step, int64_t n, void *reals)
{
    FOV_NAME(row_in)(source, step, n, reals, FOV_MOVE_DTYPE);
}
static void FOV_NAME(FOV_MOVE(rows_in))(const char *source, int64_t row_bytes, int64_t step, int64_t n_rows, int64_t n_columns,
                                        void *reals)
{
    FOV_NAME(rows_in)(source, row_bytes, step, n_rows, n_columns, reals, FOV_MOVE_DTYPE);
}
static void FOV_NAME(FOV_MOVE(row_out))(const void *reals, int64_t n, char *target, int64_t step)
{
    FOV_NAME(row_out)(reals, n, target, step, FOV_MOVE_DTYPE);
}
static void FOV_NAME(FOV_MOVE(gather))(const char *const *lanes, int64_t step, int64_t n_steps, int n_lanes, void *tile)
{
    FOV_NAME(gather)(lanes, step, n_steps, n_lanes, tile, 1, FOV_MOVE_DTYPE, 0);
}
static void FOV_NAME(FOV_MOVE(gather_add))(const char *const *lanes, int64_t step, int64_t n_steps, int n_lanes,
                                           double multiplier, void *tile)
{
    FOV_NAME(gather)(lanes, step, n_steps, n_lanes, tile, (real)multiplier, FOV_MOVE_DTYPE, 1);
}
static void FOV_NAME(FOV_MOVE(scatter))(const void *tile, int64_t n_steps, int n_lanes, char *const *lanes, int64_t step)
{
    FOV_NAME(scatter)(tile, n_steps, n_lanes, lanes, step, FOV_MOVE_DTYPE);
}
#undef FOV_MOVE_NAME
#undef FOV_MOVE_DTYPE
