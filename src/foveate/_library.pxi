"""What the library knows about itself: names, ISAs, threads. Included by _core.pyx."""

ctypedef const char *(*name_function)(int) noexcept nogil


cdef tuple names_of(name_function name):
    cdef int index = 0
    cdef list found = []
    while name(index) != NULL:
        found.append(name(index).decode())
        index += 1
    return tuple(found)


score_names = names_of(fov_score_name)
activation_names = names_of(fov_activation_name)
combine_names = names_of(fov_combine_name)
isa_names = names_of(fov_isa_name)
version = fov_version().decode()
compiler = fov_compiler().decode()


def available_isas():
    """Compiled ISAs that this machine can run, best first."""
    return tuple([name for index, name in enumerate(isa_names) if fov_isa_available(index)])


def set_isa(name):
    """Force one ISA by its name; None goes back to FOVEATE_ISA or the best one. Returns the status."""
    cdef bytes encoded
    if name is None:
        return <int>fov_set_isa(NULL)
    encoded = name.encode()
    return <int>fov_set_isa(encoded)


def get_isa():
    """(status, name) of the ISA in use."""
    cdef const char *name = NULL
    cdef fov_status status = fov_get_isa(&name)
    return <int>status, None if name == NULL else name.decode()


def status_name(int status):
    """Which error a status is, as far as Python treats them differently."""
    if status == FOV_ERROR_ISA_UNKNOWN:
        return "isa_unknown"
    return "isa_unavailable" if status == FOV_ERROR_ISA_UNAVAILABLE else "other"


def status_message(int status):
    """The library's own words for a status."""
    return fov_status_string(<fov_status>status).decode()


def cpu_features():
    """Detected CPU features, separated by spaces."""
    return fov_cpu_features().decode()


def amx_state():
    """Whether AMX is there and permitted."""
    return fov_amx_state().decode()


def get_num_threads():
    """The default number of threads of a call."""
    return fov_get_num_threads()


def set_num_threads(int n):
    """Set that default; n < 1 goes back to the automatic choice."""
    fov_set_num_threads(n)


def available_threads():
    """min(CPU affinity, cgroup quota)."""
    return fov_get_available_threads()


def threads_reason():
    """Why the default is what it is."""
    return fov_threads_reason().decode()


def threading_layer():
    """What runs the threads of this process now."""
    return fov_threading_layer().decode()


def _fail_allocation(long n):
    """Test hook: the n-th workspace allocation from now (0 is the next) fails once; -1 turns that off."""
    global fail_after
    fail_after = n


def _count_tiles(bint on):
    """Test hook: let calls count what they do; returns the counts of the last counted call."""
    global counting
    counting = on
    return last_stats
