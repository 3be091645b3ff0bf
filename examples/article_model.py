"""Section 5.6 of the article: Dense, Dense, attention, Dense; trained in Keras, run by foveate.

    python -m pip install keras torch        # or another backend, with KERAS_BACKEND set
    python examples/article_model.py [--attention additive] [--epochs 10]

The article hands one tensor to `Attention`, which wants a list of query and value, in a `Sequential`
model, which cannot give it two; and its samples have no time axis to attend over. So: the functional
form, and samples of (time, features). The layers of foveate then load the trained weights and must
predict the same.
"""

import argparse
import os
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foveate import layers

os.environ.setdefault("KERAS_BACKEND", "torch")  # read when Keras is imported
import keras

Array = NDArray[np.float32]

SEED = 42
SAMPLES, TIME, FEATURES, UNITS = 100, 5, 10, 64
AGREES = 1e-5

#: name -> (class, options), of Keras and of foveate alike
ATTENTION = {
    "dot": ("Attention", {}),
    "scaled_dot": ("Attention", {"use_scale": True}),
    "concat": ("Attention", {"score_mode": "concat", "use_scale": True}),
    "additive": ("AdditiveAttention", {}),
    "multi_head": ("MultiHeadAttention", {"num_heads": 4, "key_dim": 16}),
    "grouped": ("GroupQueryAttention", {"head_dim": 16, "num_query_heads": 4, "num_key_value_heads": 2}),
}


class Result(NamedTuple):
    """What both sides found; the losses are those of the epochs of the training."""

    losses: list[float]
    keras_loss: float
    loss: float
    keras_predictions: Array
    predictions: Array


def data() -> tuple[Array, Array]:
    """Random samples and targets, as in the article."""
    rng = np.random.default_rng(SEED)
    x = rng.random((SAMPLES, TIME, FEATURES), dtype=np.float32)
    return x, rng.random((SAMPLES, TIME, 1), dtype=np.float32)


def keras_model(attention: str) -> keras.Model:
    name, options = ATTENTION[attention]
    layer = getattr(keras.layers, name)(**options)
    inputs = keras.Input((TIME, FEATURES))
    hidden = keras.layers.Dense(UNITS, activation="relu")(inputs)
    hidden = keras.layers.Dense(UNITS, activation="relu")(hidden)
    # query and value are the same: self-attention
    attended = layer([hidden, hidden]) if isinstance(layer, keras.layers.Attention) else layer(hidden, hidden)
    return keras.Model(inputs, keras.layers.Dense(1)(attended))


def relu(x: Array) -> Array:
    return np.maximum(x, 0.0)


class Dense:
    """activation(x @ kernel + bias)"""

    def __init__(self, weights: list[Array], activation: Callable[[Array], Array] = lambda x: x) -> None:
        self.kernel, self.bias = weights
        self.activation = activation

    def __call__(self, x: Array) -> Array:
        return self.activation(x @ self.kernel + self.bias)


class NumpyModel:
    """The trained model without Keras."""

    def __init__(self, attention: str, model: keras.Model) -> None:
        name, options = ATTENTION[attention]
        self.attention = getattr(layers, name)(**options)
        _, first, second, attending, last = (layer.get_weights() for layer in model.layers)
        self.first, self.second, self.last = Dense(first, relu), Dense(second, relu), Dense(last)
        self.attention.set_weights(attending)

    def predict(self, x: Array) -> Array:
        hidden = self.second(self.first(x))
        if isinstance(self.attention, layers.Attention):
            return self.last(self.attention([hidden, hidden]))
        return self.last(self.attention(hidden, hidden))

    def evaluate(self, x: Array, y: Array) -> float:
        """The loss it was trained on: the mean squared error."""
        return float(np.mean((self.predict(x) - y) ** 2, dtype=np.float64))


def run(attention: str = "dot", epochs: int = 10) -> Result:
    """Train in Keras, then evaluate and predict with both; AssertionError where they do not agree."""
    keras.utils.set_random_seed(SEED)
    x, y = data()
    model = keras_model(attention)
    model.compile(optimizer="adam", loss="mse")
    history = model.fit(x, y, epochs=epochs, batch_size=32, verbose=0)
    ours = NumpyModel(attention, model)
    result = Result(
        losses=history.history["loss"],
        keras_loss=model.evaluate(x, y, verbose=0),
        loss=ours.evaluate(x, y),
        keras_predictions=model.predict(x, verbose=0),
        predictions=ours.predict(x),
    )
    np.testing.assert_allclose(result.predictions, result.keras_predictions, rtol=0, atol=AGREES)
    np.testing.assert_allclose(result.loss, result.keras_loss, rtol=AGREES)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description="The article's model: trained in Keras, run by foveate.")
    parser.add_argument("--attention", choices=ATTENTION, default="dot")
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    result = run(options.attention, options.epochs)
    for epoch, loss in enumerate(result.losses, start=1):
        print(f"epoch {epoch:2d}  loss {loss:.6f}")
    difference = np.abs(result.predictions - result.keras_predictions).max()
    print(f"                        {'Keras':>12s} {'foveate':>12s}")
    print(f"loss                    {result.keras_loss:12.6f} {result.loss:12.6f}")
    for step in range(TIME):
        theirs, ours = result.keras_predictions[0, step, 0], result.predictions[0, step, 0]
        print(f"first sample, step {step}    {theirs:12.6f} {ours:12.6f}")
    print(f"largest difference of {result.predictions.size} predictions {difference:.1e}")


if __name__ == "__main__":
    main()
