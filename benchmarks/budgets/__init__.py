"""How many instructions a call may take, function by function: `python -m benchmarks.budgets`."""
