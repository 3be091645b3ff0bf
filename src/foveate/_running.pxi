"""One call of the library: workspace, status, the GIL. Included by _core.pyx."""

cdef void *spare = NULL  # the last workspace, kept for the next call; owned by whoever holds the GIL
cdef size_t spare_size = 0
cdef enum:
    LARGEST_SPARE = 8 << 20  # a thread takes up to 0.6 MiB; fresh pages cost more than a short call
    SMALL = 4096  # multiply-adds, with 16 for each logit
cdef long fail_after = -1
cdef bint counting = False
cdef fov_stats last_stats


cdef void *take_workspace(size_t *size) noexcept:
    global spare, spare_size, fail_after
    cdef void *memory
    if fail_after >= 0:
        fail_after -= 1
        if fail_after < 0:
            return NULL
    if spare != NULL and spare_size >= size[0]:
        memory, size[0], spare = spare, spare_size, NULL
        return memory
    size[0] = max(size[0], <size_t>1024)
    return malloc(size[0])


cdef void return_workspace(void *memory, size_t size) noexcept:
    global spare, spare_size
    if size > LARGEST_SPARE:
        free(memory)
        return
    free(spare)
    spare, spare_size = memory, size


cdef int check(fov_status status) except -1:
    if status == FOV_OK:
        return 0
    from foveate import _runtime
    raise _runtime.status_error(status, fov_last_problem().decode())


cdef int check_sizes(Call *call, bint product=False) except -1:
    """No product of sizes may pass 2**63 bytes: broadcast views reach it without any memory."""
    cdef fov_attention_args *a = &call.args
    cdef int axis
    cdef double batch = 8.0, widest = max(a.head_dim, a.key_dim, a.value_dim, 1)
    for axis in range(a.n_batch_axes):
        batch *= call.batch_shape[axis]
    if (batch * a.n_q_heads * a.q_len * max(widest, <double>a.kv_len) >= 9.2e18
            or batch * a.n_kv_heads * a.kv_len * widest >= 9.2e18
            or (product and batch * a.n_q_heads * a.q_len * a.kv_len * a.value_dim >= 9.2e18)):
        _validate.refuse_sizes(
            batch_of(call), a.n_q_heads, a.n_kv_heads, a.q_len, a.kv_len, a.head_dim, a.value_dim)
    return 0


cdef bint is_small(fov_attention_args *a) noexcept:
    """A few microseconds of work at most, on one thread whatever the limit; 0.2 ms in the slowest mode."""
    cdef double logits = <double>a.n_q_heads * max(a.q_len, 1) * max(a.kv_len, 1)
    cdef int axis
    if a.modifier != NULL or a.tile_mask != NULL or a.score_dim > 0:
        return False
    for axis in range(a.n_batch_axes):
        logits *= a.batch_shape[axis]
    return logits * (a.head_dim + a.value_dim + 16) <= SMALL


cdef int compute(fov_attention_args *args) except -1:
    """A small call keeps the GIL, which takes 50 ns to give away, and tries the spare workspace unasked."""
    cdef bint small = is_small(args)
    cdef size_t size = 0
    cdef void *workspace
    cdef fov_status status
    cdef int attempt
    for attempt in range(4):  # another thread's use_isa may change the plan between the two calls
        if attempt > 0 or not small:
            check(fov_workspace_size(args, &size))
        workspace = take_workspace(&size)
        if workspace == NULL:
            check(fov_workspace_size(args, &size))
            raise MemoryError(f"foveate: no memory for a workspace of {size} bytes")
        if small:
            status = fov_attention(args, workspace, size)
        else:
            with nogil:
                status = fov_attention(args, workspace, size)
        return_workspace(workspace, size)
        if status != FOV_ERROR_WORKSPACE:
            break
    return check(status)


cdef int run(Call *call, object num_threads) except -1:
    global last_stats
    cdef fov_stats stats
    if num_threads is not None:
        call.args.n_threads = _validate.num_threads(num_threads)
    if counting:
        memset(&stats, 0, sizeof(fov_stats))
        call.args.stats = &stats
    compute(&call.args)
    if call.args.stats != NULL:
        last_stats = stats
    return 0
