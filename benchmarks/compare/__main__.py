"""``python -m benchmarks.compare``."""

from benchmarks.compare.cli import main

main()
