"""ISAs, threads, info, headers."""

import pathlib

import numpy as np
import pytest

import foveate
from foveate.error_bound import bounds, worst_ratio


@pytest.fixture(autouse=True)
def _restore():
    yield
    foveate.use_isa("auto")
    foveate.set_num_threads(None)


@pytest.mark.parametrize("isa", foveate.available_isas())
def test_use_isa(isa):
    x = np.random.default_rng(0).standard_normal((2, 9, 8)).astype(np.float32)
    best = foveate.get_isa()
    with foveate.use_isa(isa):
        assert foveate.get_isa() == isa
        assert foveate.info()["isa"]["forced_by"] == "use_isa"
        ratio = worst_ratio(
            foveate.attention(x, x, x), foveate.reference.attention(x, x, x), bounds(x, x, x).output
        )
    assert ratio <= 1
    assert foveate.get_isa() == best
    assert foveate.info()["isa"]["forced_by"] is None


def test_use_isa_stays_without_with():
    foveate.use_isa("scalar")
    assert foveate.get_isa() == "scalar"
    with foveate.use_isa("auto"):
        assert foveate.get_isa() == foveate.available_isas()[0]
    assert foveate.get_isa() == "scalar"


def test_use_isa_restores_after_an_error():
    best = foveate.get_isa()
    with pytest.raises(ZeroDivisionError), foveate.use_isa("scalar"):
        raise ZeroDivisionError
    assert foveate.get_isa() == best
    with pytest.raises(ValueError, match="scaler"):
        foveate.use_isa("scaler")
    assert foveate.get_isa() == best


def test_isa_lists():
    assert foveate.compiled_isas()[-1] == "scalar"
    assert foveate.available_isas()[-1] == "scalar"
    assert set(foveate.available_isas()) <= set(foveate.compiled_isas())
    assert foveate.get_isa() == foveate.available_isas()[0]


def test_set_num_threads():
    automatic = foveate.get_num_threads()
    assert automatic >= 1
    foveate.set_num_threads(1)
    assert foveate.get_num_threads() == 1
    assert foveate.info()["threads"]["default"] == 1
    foveate.set_num_threads(10**30)
    assert 1 <= foveate.get_num_threads() <= foveate.info()["threads"]["available"]
    foveate.set_num_threads(None)
    assert foveate.get_num_threads() == automatic


def test_info():
    info = foveate.info()
    assert set(info) == {"version", "compiler", "numpy", "isa", "threads", "cpu_features", "amx"}
    assert info["version"] == foveate.__version__
    assert info["numpy"] == np.__version__
    assert info["isa"]["compiled"] == foveate.compiled_isas()
    assert info["isa"]["available"] == foveate.available_isas()
    assert info["isa"]["chosen"] == foveate.get_isa()
    assert info["threads"]["layer"] in ("openmp", "pthreads", "none")
    assert info["threads"]["reason"]
    assert info["compiler"]
    assert info["amx"]
    assert all(isinstance(feature, str) for feature in info["cpu_features"])


def test_header_is_installed():
    header = pathlib.Path(foveate.get_include()) / "foveate" / "foveate.h"
    assert "fov_attention(" in header.read_text()


def test_public_names():
    for name in foveate.__all__:
        assert getattr(foveate, name) is not None
        if callable(getattr(foveate, name)):
            assert getattr(foveate, name).__doc__
