"""Instruction budgets: how many instructions a call may take, function by function. `python -m benchmarks.budgets`."""
