"""``foveate info --limits``: what this machine can do at most, measured now."""

from __future__ import annotations

from foveate.limits import Limit, Limits

from .console import add_row, console, table

LABELS = {
    "fma_f32": "multiply-add f32",
    "fma_f64": "multiply-add f64",
    "amx_bf16": "AMX bf16",
    "amx_bf16_loads": "AMX bf16, L1 loads",
    "read_l1": "read L1",
    "read_l2": "read L2",
    "read_l3": "read L3",
    "read_dram": "read DRAM",
    "fork_join": "fork/join",
    "fork_join_paused": "fork/join, paused",
    "meet": "start all threads",
    "meet_paused": "start all, paused",
}
NOTES = (
    "Best (and median) of many short repetitions; all threads together; us: less is better.",
    "fork/join: empty tasks; start all: until each thread has one; paused: after 1 ms without work.",
)


def show(limits: Limits) -> None:
    """One row per limit and instruction set, one column per number of threads."""
    counts = sorted({1, limits.threads})
    columns = ["limit", "ISA", "unit", *(f"{n} thread{'s' if n > 1 else ''}" for n in counts)]
    shown = table(f"limits of this machine, {limits.seconds:.1f} s", columns, left=3)
    for (_, isa), by_threads in _rows(limits).items():
        first = next(iter(by_threads.values()))
        add_row(shown, _label(first), isa, first.unit, *(_cell(by_threads.get(n)) for n in counts))
    out = console()
    out.print(shown)
    for note in NOTES:
        out.print(note)


def _rows(limits: Limits) -> dict[tuple[str, str], dict[int, Limit]]:
    rows: dict[tuple[str, str], dict[int, Limit]] = {}
    for entry in limits.entries:
        isa = entry.isa or ""
        if entry.vector_bits is not None:
            isa += f", {entry.vector_bits} bit"
        rows.setdefault((entry.name, isa), {})[entry.threads] = entry
    return rows


def _label(entry: Limit) -> str:
    if entry.thread_bytes is None:
        return LABELS[entry.name]
    size = entry.thread_bytes
    return f"{LABELS[entry.name]}, {f'{size >> 20} MiB' if size >= 1 << 20 else f'{size >> 10} KiB'}"


def _cell(entry: Limit | None) -> str:
    if entry is None:
        return ""
    if entry.best is None or entry.median is None:
        return entry.note
    return f"{_number(entry.best)} ({_number(entry.median)})"


def _number(value: float) -> str:
    """Three digits that mean something.

    >>> _number(178.83), _number(15.27), _number(0.0262)
    ('179', '15.3', '0.026')
    """
    return (
        f"{value:.0f}"
        if value >= 100
        else f"{value:.1f}"
        if value >= 10
        else f"{value:.2g}"
        if value < 0.1
        else f"{value:.2f}"
    )
