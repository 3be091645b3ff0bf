"""foveate on its targets, every peer in a process of its own: `python -m benchmarks.targets`."""
