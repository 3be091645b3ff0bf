"""The C API for other extensions: a table, and capsules by name. Included by _core.pyx.

Both hold pointers to the functions of the library itself, with nothing in between.
"""

cdef extern from *:
    """
    #include "foveate/foveate_capsule.h"

    static fov_api api_table = {
        .abi_version = FOV_ABI_VERSION,
        .struct_size = sizeof(fov_api),
        .workspace_size = fov_workspace_size,
        .attention = fov_attention,
        .merge = fov_merge,
        .status_string = fov_status_string,
        .last_problem = fov_last_problem,
        .score_name = fov_score_name,
        .activation_name = fov_activation_name,
        .combine_name = fov_combine_name,
        .activation_has_lse = fov_activation_has_lse,
        .isa_name = fov_isa_name,
        .isa_available = fov_isa_available,
        .set_isa = fov_set_isa,
        .get_isa = fov_get_isa,
        .cpu_features = fov_cpu_features,
        .amx_state = fov_amx_state,
        .get_num_threads = fov_get_num_threads,
        .set_num_threads = fov_set_num_threads,
        .get_available_threads = fov_get_available_threads,
        .threads_reason = fov_threads_reason,
        .threading_layer = fov_threading_layer,
        .version = fov_version,
        .compiler = fov_compiler,
    };

    typedef void (*any_function)(void);
    #define ENTRY(name, signature) {"fov_" #name, signature, (any_function)fov_##name}
    static const struct cimportable {
        const char *name, *signature;
        any_function function;
    } cimportable[] = {
        ENTRY(workspace_size, "fov_status (fov_attention_args const *, size_t *)"),
        ENTRY(attention, "fov_status (fov_attention_args const *, void *, size_t)"),
        ENTRY(merge, "fov_status (int32_t, int64_t, int64_t, fov_state const *, fov_state const *, "
                     "fov_state const *)"),
        ENTRY(status_string, "char const *(fov_status)"),
        ENTRY(last_problem, "char const *(void)"),
        ENTRY(score_name, "char const *(int)"),
        ENTRY(activation_name, "char const *(int)"),
        ENTRY(combine_name, "char const *(int)"),
        ENTRY(activation_has_lse, "int (int)"),
        ENTRY(isa_name, "char const *(int)"),
        ENTRY(isa_available, "int (int)"),
        ENTRY(set_isa, "fov_status (char const *)"),
        ENTRY(get_isa, "fov_status (char const **)"),
        ENTRY(cpu_features, "char const *(void)"),
        ENTRY(amx_state, "char const *(void)"),
        ENTRY(get_num_threads, "int (void)"),
        ENTRY(set_num_threads, "void (int)"),
        ENTRY(get_available_threads, "int (void)"),
        ENTRY(threads_reason, "char const *(void)"),
        ENTRY(threading_layer, "char const *(void)"),
        ENTRY(version, "char const *(void)"),
        ENTRY(compiler, "char const *(void)"),
    };
    #undef ENTRY
    enum { N_CIMPORTABLE = sizeof cimportable / sizeof cimportable[0] };
    """
    ctypedef struct fov_api:
        pass
    ctypedef struct cimportable_function "struct cimportable":
        const char *name
        const char *signature
        void *function
    const char *FOV_CAPSULE_NAME
    const char *FOVEATE_STATIC_LIBS
    fov_api api_table
    cimportable_function *cimportable
    int N_CIMPORTABLE


cdef dict cimport_capsules():
    cdef dict found = {}
    cdef int i
    for i in range(N_CIMPORTABLE):
        found[cimportable[i].name.decode()] = PyCapsule_New(
            cimportable[i].function, cimportable[i].signature, NULL)
    return found


_C_API = PyCapsule_New(&api_table, FOV_CAPSULE_NAME, NULL)
__pyx_capi__ = cimport_capsules()  # where Cython, SciPy and numba look; `foveate` has it too
static_libs = FOVEATE_STATIC_LIBS.decode()
