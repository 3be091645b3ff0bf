"""Benchmarks of foveate: pytest-benchmark suites (bench_*.py), and scripts that print the claims.

python -m pytest benchmarks/ --benchmark-only      # history: --benchmark-autosave, --benchmark-compare
python -m benchmarks.ratios                        # foveate against torch and naive NumPy, interleaved
python -m benchmarks.modes                         # every mode against its peers and our own softmax
python -m benchmarks.memory                        # peak memory against length
"""
