"""Calls as the interpreter makes them: arguments are read where they lie. Included by _core.pyx.

The limited API of Python 3.11 leaves functions of Cython a tuple and a dict per call, and Python fills in 23
keyword-only parameters one by one. Plain C functions get an array. With what _repeated.pxi leaves out, a call
on 3 x 2 arrays took 1.62 us and takes 0.70.
"""

cdef extern from *:  # Python.h
    ctypedef PyObject *(*PyCFunction)(PyObject *, PyObject *)
    ctypedef struct PyMethodDef:
        const char *ml_name
        PyCFunction ml_meth
        int ml_flags
        const char *ml_doc
    int METH_FASTCALL, METH_KEYWORDS
    object PyCFunction_NewEx(PyMethodDef *method, PyObject *owner, object module)
    object PyDescr_NewMethod(PyTypeObject *type, PyMethodDef *method)
    # borrowed references, and no check for what cannot fail here
    PyObject *item_of "PyTuple_GetItem"(PyObject *a_tuple, Py_ssize_t index) noexcept
    Py_ssize_t size_of "PyTuple_Size"(PyObject *a_tuple) noexcept
    int compare_text "PyUnicode_Compare"(PyObject *a, PyObject *b) noexcept

cdef enum:
    N_ARRAYS = 3  # query, key, value: the positional parameters
    N_MODE = 9  # score to precision, of `attention` alone
    N_CALL = 15  # options of one call
    MOST_OPTIONS = N_MODE + N_CALL
    SCALE = 3  # among those of a Mode
    SOFTCAP = 4
    WINDOW = 6
    OUT = 13  # among those of a call

cdef tuple MODE_OPTIONS = (
    "score", "activation", "combine", "scale", "softcap", "causal", "window", "layout", "precision",
)
cdef tuple CALL_OPTIONS = (
    "k_scale", "v_scale", "mask", "bias", "alibi_slopes", "sinks", "kv_lengths", "q_offset", "modifier",
    "tile_mask", "return_lse", "return_weights", "key_stats", "out", "num_threads",
)


@cython.final
cdef class Signature:
    """The parameters of a Python function, which keeps the say about arguments that do not fit them."""

    cdef object function
    cdef PyMethodDef method
    cdef int n
    cdef PyObject *names[N_ARRAYS + MOST_OPTIONS]
    cdef PyObject *defaults[N_ARRAYS + MOST_OPTIONS]  # NULL: none
    cdef object kept  # what the pointers point to

    def __init__(self, function, tuple options, bint is_method):
        signature = inspect.signature(function)
        parameters = [
            parameter.replace(annotation=parameter.empty, name=sys.intern(name))
            for name, parameter in signature.parameters.items()
        ]
        taken = parameters[1:] if is_method else parameters
        if tuple([parameter.name for parameter in taken]) != ("query", "key", "value", *options):
            raise TypeError(f"{function.__qualname__} does not have the parameters of the binding")
        if is_method:  # as inspect reads it from the text of a method of C
            parameters = [p.replace(kind=p.POSITIONAL_ONLY) for p in parameters[:1]] + taken
        bare = signature.replace(parameters=parameters, return_annotation=signature.empty)
        text = f"{function.__name__}{str(bare).replace('(self', '($self')}\n--\n\n{inspect.getdoc(function)}"
        cdef bytes c_name = function.__name__.encode(), c_doc = text.encode()
        self.function = function
        self.kept = (taken, c_name, c_doc)
        self.method.ml_name, self.method.ml_doc = c_name, c_doc
        self.method.ml_flags = METH_FASTCALL | METH_KEYWORDS
        Py_INCREF(self)  # the method points into this object
        self.n = len(taken)
        for index, parameter in enumerate(taken):
            self.names[index] = <PyObject *>parameter.name
            required = parameter.default is parameter.empty
            self.defaults[index] = NULL if required else <PyObject *>parameter.default

    cdef bint read(self, PyObject **values, PyObject *const *args, Py_ssize_t n_args,
                   PyObject *keywords) noexcept:
        """Borrowed references in the order of the parameters; False where the arguments do not fit."""
        cdef Py_ssize_t i, n_keywords = 0 if keywords == NULL else size_of(keywords)
        cdef int k
        cdef PyObject *name
        if n_args > N_ARRAYS:
            return False
        memcpy(values, self.defaults, self.n * sizeof(PyObject *))
        for i in range(n_args):
            values[i] = args[i]
        for i in range(n_keywords):
            name = item_of(keywords, i)
            k = self.index_of(name)
            if k < n_args:  # unknown, or given twice
                return False
            values[k] = args[n_args + i]
        return values[0] != NULL and values[1] != NULL and values[2] != NULL

    cdef int index_of(self, PyObject *name) noexcept:
        cdef int k
        for k in range(self.n):
            if self.names[k] == name:
                return k
        for k in range(self.n):  # made at run time
            if compare_text(self.names[k], name) == 0:
                return k
        return -1

    cdef object refuse(self, tuple first, PyObject *const *args, Py_ssize_t n_args, PyObject *keywords):
        """The interpreter's own words, from the function itself."""
        cdef Py_ssize_t i
        given = first + tuple([<object>args[i] for i in range(n_args)])
        named = {}
        for i in range(0 if keywords == NULL else size_of(keywords)):
            named[<object>item_of(keywords, i)] = <object>args[n_args + i]
        return self.function(*given, **named)


# ----- foveate.attention

cdef Signature ATTENTION
cdef object make_mode
cdef Plan DEFAULT_PLAN
cdef PyObject *last_options[N_MODE]  # of the last call that was not of DEFAULT_PLAN
cdef list last_kept = []
cdef Plan last_plan


cdef object call_attention(PyObject *unused, PyObject *const *args, Py_ssize_t n_args, PyObject *keywords):
    cdef PyObject *values[N_ARRAYS + MOST_OPTIONS]
    cdef Plan plan
    if not ATTENTION.read(values, args, n_args, keywords):
        return ATTENTION.refuse((), args, n_args, keywords)
    if memcmp(values + N_ARRAYS, ATTENTION.defaults + N_ARRAYS, N_MODE * sizeof(PyObject *)) == 0:
        plan = DEFAULT_PLAN
    elif memcmp(values + N_ARRAYS, last_options, N_MODE * sizeof(PyObject *)) == 0:
        plan = last_plan
    else:
        plan = plan_of(values + N_ARRAYS)
    return plan.call(values, values + N_ARRAYS + N_MODE)


cdef Plan plan_of(PyObject **options):
    """The plan of these options of a Mode, remembered by their identity where they cannot change."""
    global last_kept, last_plan
    cdef int k
    cdef list given = [<object>options[k] for k in range(N_MODE)]
    cdef Plan plan = make_mode(*given)._plan
    window = given[WINDOW]
    sides = window if type(window) is tuple else (window,)
    if all([type(number) in (int, float, NoneType) for number in (given[SCALE], given[SOFTCAP], *sides)]):
        old = (last_plan, last_kept)  # freed when all is set: that may run anything
        last_plan, last_kept = plan, given
        for k in range(N_MODE):
            last_options[k] = options[k]
    return plan


def attention_like(function, mode_of, Plan plan):
    """`function` in C. ``plan``: of its defaults; ``mode_of``: the Mode of other options."""
    global ATTENTION, make_mode, DEFAULT_PLAN
    ATTENTION = Signature(function, MODE_OPTIONS + CALL_OPTIONS, False)
    make_mode, DEFAULT_PLAN = mode_of, plan
    ATTENTION.method.ml_meth = <PyCFunction><void *>call_attention
    return PyCFunction_NewEx(&ATTENTION.method, NULL, function.__module__)


# ----- Mode.__call__

cdef Signature CALL


cdef class Planned:
    """Base of Mode: it has the Plan where a call finds it, and makes it by `_make_plan` for the first one."""

    cdef Plan plan

    @property
    def _plan(self):
        if self.plan is None:
            self.plan = self._make_plan()
        return self.plan


cdef object call_mode(PyObject *mode, PyObject *const *args, Py_ssize_t n_args, PyObject *keywords):
    cdef PyObject *values[N_ARRAYS + MOST_OPTIONS]
    cdef Plan plan
    if not CALL.read(values, args, n_args, keywords):
        return CALL.refuse((<object>mode,), args, n_args, keywords)
    plan = (<Planned>mode).plan
    if plan is None:
        plan = (<object>mode)._plan
    return plan.call(values, values + N_ARRAYS)


def call_like(function):
    """`function`, which is `Mode.__call__`, in C: a method of any `Planned`."""
    global CALL
    CALL = Signature(function, CALL_OPTIONS, True)
    CALL.method.ml_meth = <PyCFunction><void *>call_mode
    return PyDescr_NewMethod(<PyTypeObject *>Planned, &CALL.method)
