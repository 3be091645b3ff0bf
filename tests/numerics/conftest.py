"""One fixture for the ISA, and the table of the worst error ratios at the end of a run."""

import json
import os
from collections import defaultdict
from pathlib import Path

import pytest

import foveate
from support.numerics import ISAS

RATIOS = pytest.StashKey[dict]()


class Ratios:
    """Worst |result - reference| / bound per ISA, dtype and result, and how many cases went into it."""

    def __init__(self):
        self.worst = defaultdict(float)
        self.cases = defaultdict(int)
        self.problems = 0

    def add(self, isa, dtype, ratios):
        self.cases[isa, dtype] += 1
        for result, ratio in ratios.items():
            self.worst[isa, dtype, result] = max(self.worst[isa, dtype, result], ratio)

    def rows(self):
        for (isa, dtype), n in sorted(self.cases.items()):
            worst = {result: self.worst.get((isa, dtype, result)) for result in ("output", "lse", "weights")}
            yield {"isa": isa, "dtype": dtype, "cases": n, **worst}


@pytest.fixture(params=ISAS)
def isa(request):
    """Every ISA of this machine (or the forced one), in use."""
    with foveate.use_isa(request.param):
        assert foveate.get_isa() == request.param
        yield request.param


@pytest.fixture(scope="session")
def ratios(request):
    """Collects the ratios of the run."""
    return request.config.stash.setdefault(RATIOS, Ratios())


def pytest_terminal_summary(terminalreporter, config):
    ratios = config.stash.get(RATIOS, None)
    if ratios is None or not ratios.cases:
        return
    terminalreporter.section(f"worst ratio to the error bound, {ratios.problems} problems on every ISA")
    for row in ratios.rows():
        names = [name for name in ("output", "lse", "weights") if row[name] is not None]
        worst = "  ".join(f"{name} {row[name]:.4f}" for name in names)
        terminalreporter.write_line(f"{row['isa']:<8}{row['dtype']:<6}{row['cases']:>6} cases  {worst}")
    if os.environ.get("FOVEATE_REPORT"):
        report = {"problems": ratios.problems, "worst_ratios": list(ratios.rows())}
        Path(os.environ["FOVEATE_REPORT"]).write_text(json.dumps(report, indent=2) + "\n")
