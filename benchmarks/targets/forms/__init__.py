"""What is timed, a module per library with ``forms(problem, n_threads)``: name -> what prepares it.

Such a maker is called in the library's own process; one that raises is left out, and the report says why. No
form at all: the library has no such thing. Inputs exist in its native form when the maker returns.
"""

from collections.abc import Callable, Mapping

from foveate.cli.peers import Prepared

Forms = dict[str, Callable[[], Prepared]]

OWN = "foveate"
OWN_IN_TILES = "foveate, FOVEATE_F32=amx"  # the worker that has the form OWN of float32 in tile registers
NEIGHBOUR = "own neighbour"  # the form of the workload of our own that a target names
# library -> its module, the packages it needs
PEERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "torch": ("benchmarks.targets.forms.with_torch", ("torch",)),
    "onnxruntime": ("benchmarks.targets.forms.with_onnxruntime", ("onnxruntime", "onnx")),
    "openvino": ("benchmarks.targets.forms.with_openvino", ("openvino",)),
    "numpy": ("benchmarks.targets.forms.naive_numpy", ("threadpoolctl",)),
}
OWN_MODULE = "benchmarks.targets.forms.own"
OWN_MODULES = {OWN: OWN_MODULE, OWN_IN_TILES: "benchmarks.targets.forms.own_in_tiles"}
