"""Peak memory of one head against length, and its slope: `python -m benchmarks.memory`."""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

LENGTHS = [2**power for power in range(10, 16)]
MEASURE = Path(__file__).with_name("peak_memory.py")


def extra_bytes(length: int, head_dim: int, causal: bool) -> int:
    """What one call needs beyond its arrays, in a fresh process."""
    command = [sys.executable, str(MEASURE), "--length", str(length), "--head-dim", str(head_dim)]
    command += ["--causal"] if causal else []
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description="Peak memory of foveate.attention against length.")
    parser.add_argument("--head-dim", type=int, default=64)
    parser.add_argument("--causal", action="store_true")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()

    extra = [extra_bytes(length, options.head_dim, options.causal) for length in LENGTHS]
    slope, intercept = statistics.linear_regression([2 * length for length in LENGTHS], extra)
    table = Table(box=box.MARKDOWN if options.markdown else box.SIMPLE)
    for column in ("Lq = Lk", "extra KiB", "bytes per Lq + Lk", "KiB of the logits in f32"):
        table.add_column(column, justify="right")
    for length, size in zip(LENGTHS, extra, strict=True):
        figures = (size / 1024, size / (2 * length), length**2 / 256)
        table.add_row(str(length), *(f"{figure:.1f}" for figure in figures))
    console = Console()
    console.print(table)
    console.print(f"slope {slope:.2f} bytes per element of Lq + Lk, {intercept / 1024:.0f} KiB at length 0")
    if options.json is not None:
        figures = {"lengths": LENGTHS, "extra_bytes": extra, "slope": slope, "intercept": intercept}
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
