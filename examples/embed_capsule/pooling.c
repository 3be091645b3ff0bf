/* pooling.pool(items, query, v, out): each set of items becomes one row, the mean weighted by additive attention,
 *
 *     logit_j = sum_d v_d tanh(query_d + items_jd),   out = sum_j softmax(logit)_j items_j,
 *
 * items (sets, n, dim), query (dim), v (dim), out (sets, dim): float32, any strides but for v, which is contiguous. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

#include "foveate/foveate_capsule.h"

static const fov_api *fov;

/* A float32 buffer with `ndim` axes, or -1 with an exception. */
static int get_floats(PyObject *object, const char *name, int ndim, int flags, Py_buffer *view)
{
    if (PyObject_GetBuffer(object, view, PyBUF_FORMAT | flags) < 0) return -1;
    if (strcmp(view->format, "f") == 0 && view->ndim == ndim) return 0;
    PyErr_Format(PyExc_ValueError, "%s must be float32 with %d axes, got format '%s' and %d axes", name, ndim, view->format,
                 view->ndim);
    PyBuffer_Release(view);
    return -1;
}

static PyObject *run(const Py_buffer *items, const Py_buffer *query, const Py_buffer *v, const Py_buffer *out)
{
    int64_t sets = items->shape[0], n = items->shape[1], dim = items->shape[2];
    if (query->shape[0] != dim || v->shape[0] != dim || out->shape[0] != sets || out->shape[1] != dim)
        return PyErr_Format(PyExc_ValueError, "query and v must be (%lld), out must be (%lld, %lld)", (long long)dim,
                            (long long)sets, (long long)dim);

    int64_t items_bytes = items->strides[0], out_bytes = out->strides[0], same = 0; /* from set to set; one query for all */
    fov_attention_args args;
    memset(&args, 0, sizeof args); /* 0 is "absent" or "off" wherever that is possible */
    args.size = sizeof args;
    args.stages = FOV_STAGE_ALL;
    args.score = FOV_SCORE_ADDITIVE;
    args.activation = FOV_ACTIVATION_SOFTMAX;
    args.combine = FOV_COMBINE_WEIGHTED_SUM;
    args.dtype = FOV_F32;
    args.n_batch_axes = 1;
    args.batch_shape = &sets;
    args.n_q_heads = args.n_kv_heads = args.q_len = 1;
    args.kv_len = args.kv_lengths.value = n;
    args.head_dim = args.value_dim = dim;
    args.query = (fov_array){query->buf, &same, 0, 0, query->strides[0], FOV_F32};
    args.key = (fov_array){items->buf, &items_bytes, 0, items->strides[1], items->strides[2], FOV_F32};
    args.value = args.key;
    args.output = (fov_array){out->buf, &out_bytes, 0, 0, out->strides[1], FOV_F32};
    args.scale = 1;
    args.window_left = args.window_right = FOV_OPEN;
    args.score_v.data = v->buf;

    size_t size;
    fov_status status = fov->workspace_size(&args, &size);
    if (status == FOV_OK) {
        void *workspace = PyMem_RawMalloc(size);
        if (!workspace) return PyErr_NoMemory();
        PyThreadState *thread = PyEval_SaveThread();
        status = fov->attention(&args, workspace, size);
        PyEval_RestoreThread(thread);
        PyMem_RawFree(workspace);
    }
    if (status != FOV_OK) return PyErr_Format(PyExc_ValueError, "%s", fov->last_problem());
    Py_RETURN_NONE;
}

static PyObject *pool(PyObject *module, PyObject *arguments)
{
    static const char *const names[] = {"items", "query", "v", "out"};
    static const int axes[] = {3, 1, 1, 2};
    static const int flags[] = {PyBUF_STRIDES, PyBUF_STRIDES, PyBUF_C_CONTIGUOUS, PyBUF_STRIDES | PyBUF_WRITABLE};
    PyObject *objects[4], *result = NULL;
    Py_buffer views[4];
    int held = 0;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "OOOO", &objects[0], &objects[1], &objects[2], &objects[3])) return NULL;
    while (held < 4 && get_floats(objects[held], names[held], axes[held], flags[held], &views[held]) == 0) held++;
    if (held == 4) result = run(&views[0], &views[1], &views[2], &views[3]);
    while (held > 0) PyBuffer_Release(&views[--held]);
    return result;
}

static PyMethodDef methods[] = {
    {"pool", pool, METH_VARARGS, "pool(items, query, v, out): additive-attention pooling of each set of items."},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "pooling", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_pooling(void)
{
    fov = fov_import();
    return fov ? PyModule_Create(&definition) : NULL;
}
