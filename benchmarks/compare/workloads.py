"""What is compared when nothing else is asked for."""

from pathlib import Path

DEFAULT_SUITE = Path("benchmarks")
# the 12 workloads of the default run, used where the suite is our own and there is no -k
TWELVE = DEFAULT_SUITE / "compare" / "bench_twelve.py"
# error ratios of the default run
ACCURACY = DEFAULT_SUITE / "accuracy.py"
# one thread: two on a shared machine wait for each other, and the workers are pinned to one core
ARGUMENTS = ("--threads=1",)
