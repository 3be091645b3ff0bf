/* foveate for C and C++ extensions of Python, without linking: the functions of foveate.h in a table that the installed module
 * foveate._core hands out in a capsule. The extension shares the threads and the settings of `import foveate`.
 *
 *     static const fov_api *fov;                     one for the extension
 *     fov = fov_import();                            in its PyInit_ function, with the GIL
 *     if (!fov) return NULL;                         a Python exception is set
 *     status = fov->attention(&args, space, size);   anywhere, with or without the GIL
 *
 * Compile with -I of foveate.get_include(). Call only through the table: the functions declared by foveate.h are not linked. */
#ifndef FOVEATE_FOVEATE_CAPSULE_H
#define FOVEATE_FOVEATE_CAPSULE_H

#include <Python.h>
#include <stdint.h>

#include "foveate/foveate.h"

#define FOV_CAPSULE_NAME "foveate._core._C_API"
#define FOV_ABI_VERSION 1 /* changes when an old table cannot be read as a new one: not planned */

#ifdef __cplusplus
extern "C" {
#endif

/* Each member is the function fov_<member> of foveate.h. New members are appended, none is moved or removed. */
typedef struct fov_api {
    uint32_t abi_version; /* FOV_ABI_VERSION of the module */
    uint32_t struct_size; /* sizeof(fov_api) of the module */
    fov_status (*workspace_size)(const fov_attention_args *args, size_t *size);
    fov_status (*attention)(const fov_attention_args *args, void *workspace, size_t workspace_size);
    fov_status (*merge)(int32_t dtype, int64_t n_rows, int64_t dim, const fov_state *a, const fov_state *b,
                        const fov_state *into);
    const char *(*status_string)(fov_status status);
    const char *(*last_problem)(void);
    const char *(*score_name)(int index);
    const char *(*activation_name)(int index);
    const char *(*combine_name)(int index);
    int (*activation_has_lse)(int index);
    const char *(*isa_name)(int index);
    int (*isa_available)(int index);
    fov_status (*set_isa)(const char *name);
    fov_status (*get_isa)(const char **name);
    const char *(*cpu_features)(void);
    const char *(*amx_state)(void);
    int (*get_num_threads)(void);
    void (*set_num_threads)(int n);
    int (*get_available_threads)(void);
    const char *(*threads_reason)(void);
    const char *(*threading_layer)(void);
    const char *(*version)(void);
    const char *(*compiler)(void);
} fov_api;

/* The table of the installed foveate, or NULL with an ImportError: foveate is missing, or older than this header.
 * The table lives as long as the process. Needs the GIL. */
static inline const fov_api *fov_import(void)
{
    const fov_api *api = (const fov_api *)PyCapsule_Import(FOV_CAPSULE_NAME, 0);
    if (!api) return NULL;
    if (api->abi_version != FOV_ABI_VERSION) {
        PyErr_Format(PyExc_ImportError, "this extension was built for version %u of foveate's ABI, the installed one has %u",
                     (unsigned)FOV_ABI_VERSION, (unsigned)api->abi_version);
        return NULL;
    }
    if (api->struct_size < sizeof(fov_api)) {
        PyErr_Format(PyExc_ImportError,
                     "this extension was built with a newer foveate than the installed one (%u bytes of functions, found %u): "
                     "pip install --upgrade foveate",
                     (unsigned)sizeof(fov_api), (unsigned)api->struct_size);
        return NULL;
    }
    return api;
}

#ifdef __cplusplus
}
#endif
#endif
