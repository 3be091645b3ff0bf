"""No call holds the matrix of logits: peak memory of a fresh process, measured as in benchmarks/."""

import subprocess
import sys
from pathlib import Path

import pytest

MEASURE = Path(__file__).parents[1] / "benchmarks" / "peak_memory.py"
MIB = 2**20
LENGTH = 16384  # the logits would be 1 GiB
LIMIT = 4 * MIB  # measured 1.3 MiB: tiles of two threads, and some 34 bytes per query and key


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
@pytest.mark.parametrize("causal", [False, True], ids=["dense", "causal"])
def test_extra_memory_is_small_against_the_logits(causal):
    command = [sys.executable, str(MEASURE), "--length", str(LENGTH), "--head-dim", "64"]
    command += ["--causal"] if causal else []
    run = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) < LIMIT
