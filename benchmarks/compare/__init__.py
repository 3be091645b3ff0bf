"""Two revisions of a package timed against each other: ``python -m benchmarks.compare BASE [HEAD]``.

docs/tracking.md says how to use it, what its verdict means and how it was proved.
"""
