"""What all layers share: weights by name in Keras' order, how they start, the dtype, inputs and masks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from foveate import _validate

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


class Weight(NamedTuple):
    """Shape of one weight and how it starts."""

    shape: Shape
    initializer: str
    fans: int | None = None  # fan_in + fan_out of Glorot's formula where the shape alone does not tell


def _glorot_uniform(rng: np.random.Generator, weight: Weight) -> Array:
    """Uniform in +-sqrt(6 / (fan_in + fan_out)); Glorot, Bengio 2010, equation 16."""
    fans = weight.fans
    if fans is None:  # the last two axes are input and output; a vector is both
        fans = math.prod(weight.shape[:-2]) * sum((weight.shape[-1:] * 2 + weight.shape)[-2:])
    limit = math.sqrt(6.0 / max(fans, 2))
    return rng.uniform(-limit, limit, weight.shape)


INITIALIZERS: dict[str, Callable[[np.random.Generator, Weight], Array]] = {
    "glorot_uniform": _glorot_uniform,
    "ones": lambda rng, weight: np.ones(weight.shape),
    "zeros": lambda rng, weight: np.zeros(weight.shape),
}


def positive_int(name: str, value: object) -> int:
    n = _validate.index(name, value, "an int >= 1")
    if n < 1:
        raise ValueError(f"{name} must be an int >= 1, got {n}")
    return n


def flag(name: str, value: object) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r} ({type(value).__name__})")
    return bool(value)


class Layer:
    """Base of the layers that hold weights as Keras does.

    Subclasses describe their weights, in the order of Keras' ``layer.get_weights()``, when they are built.
    """

    def __init__(self, dropout: float, seed: int | None, name: str | None, dtype: npt.DTypeLike) -> None:
        rate = _validate.real("dropout", dropout, "a number from 0 to 1")
        if not 0.0 <= rate <= 1.0:
            raise ValueError(f"dropout must be a number from 0 to 1, got {dropout!r}")
        self.dropout = rate
        self.seed = seed
        self.name = type(self).__name__ if name is None else name
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.float32, np.float64):
            raise TypeError(f"dtype must be float32 or float64, got {self.dtype}")
        self.built = False
        self._weights: dict[str, Array] = {}

    # ----- weights

    @property
    def weights(self) -> list[Array]:
        """The weights, read-only, in the order and shapes of Keras' ``layer.get_weights()``."""
        return list(self._weights.values())

    @property
    def weight_names(self) -> list[str]:
        """Their names in Keras, without that of the layer."""
        return list(self._weights)

    def get_weights(self) -> list[Array]:
        """Copies of the weights."""
        return [array.copy() for array in self._weights.values()]

    def set_weights(self, weights: Sequence[npt.ArrayLike]) -> None:
        """Replace all weights by those of ``layer.get_weights()`` of the same layer in Keras.

        A layer that is not built yet takes its input sizes from them.

        Parameters
        ----------
        weights : sequence of array_like
            One array of floats per weight, converted to the dtype of the layer.

        Raises
        ------
        TypeError
            An array that does not hold floats.
        ValueError
            Another number of arrays, or another shape; the message lists what is expected.
        """
        arrays = [self._floats(f"weights[{i}]", array) for i, array in enumerate(weights)]
        was_built = self.built
        if not was_built:
            self._build_for(arrays)
        came = [array.shape for array in arrays]
        if came != [array.shape for array in self._weights.values()]:
            expected = ", ".join(f"{name} {array.shape}" for name, array in self._weights.items())
            if not was_built:  # as if nothing had happened
                self.built, self._weights = False, {}
            raise ValueError(
                f"weights of {self.name} must be [{expected}], got {len(came)} arrays of shapes {came}"
            )
        for name, array in zip(self._weights, arrays, strict=True):
            self._weights[name] = _frozen(array.copy())
        self._weights_changed()

    def _add_weights(self, weights: dict[str, Weight]) -> None:
        """Make the initial weights, in float64 from the seed, whatever the dtype."""
        rng = np.random.default_rng(self.seed)
        for name, weight in weights.items():
            initial = INITIALIZERS[weight.initializer](rng, weight)
            self._weights[name] = _frozen(initial.astype(self.dtype))
        self.built = True
        self._weights_changed()

    def _build_for(self, weights: list[Array]) -> None:
        """Build with the input sizes that these weights imply; they are checked afterwards."""
        raise NotImplementedError

    def _weights_changed(self) -> None:
        """Called when there are new weights."""

    # ----- inputs

    def _floats(self, name: str, value: object) -> Array:
        """An array of floats in the dtype of the layer, as Keras casts inputs; no copy where it has it."""
        array = _validate.as_ndarray(name, value)
        if _validate.float_code(array.dtype) < 0:
            _validate.refuse_dtype(name, array)
        return array.astype(self.dtype, copy=False)

    def _refuse_training(self, training: bool | None) -> None:
        if training and self.dropout > 0.0:
            raise ValueError(f"training must be False with dropout {self.dropout}: layers only do inference")


def mask_of(name: str, value: object, shape: Shape) -> npt.NDArray[np.bool_] | None:
    """A bool mask (True = attend) of exactly this shape, or None; integers count as in Keras, 0 is masked."""
    if value is None:
        return None
    mask = bools(name, value)
    if mask.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {mask.shape}")
    return mask


def bools(name: str, value: object) -> npt.NDArray[np.bool_]:
    mask = _validate.as_ndarray(name, value)
    if mask.dtype.kind not in "biu":
        raise TypeError(f"{name} must be bool (True = attend) or integers (0 = masked), got {mask.dtype}")
    return mask.astype(np.bool_, copy=False)


def _frozen(array: Array) -> Array:
    array.flags.writeable = False
    return array
