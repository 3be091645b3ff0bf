"""Times over revisions, relative to the limit of the machine that measured them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from foveate.plot._checks import need_matplotlib
from foveate.plot._records import (
    COLOURS,
    FONT_SIZE,
    GREY,
    MARKERS,
    Record,
    commit_of,
    factor,
    in_words,
    label_ends,
    open_axes,
    plain,
    steps,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["history"]

MOST_TICKS, MOST_DAYS = 16, 6
FAR = 50.0  # times the limit; what is above, calls that are all overhead, has a panel of its own
LINES = (("-", "solid"), ("--", "dashed"), (":", "dotted"), ("-.", "dash-dotted"))  # one per machine


def history(records: Sequence[Record], *, title: str | None = None) -> Figure:
    """Draw the time of every workload over revisions, as a multiple of what the machine's limit allows.

    1 would be the limit itself, less is impossible, so a falling line is a gain. As each record is divided by
    the limits of its own run, records of different machines share the picture; each has a kind of line.
    Revisions stand in the order of their commits, then records outside of a clone by their time. Several
    records of one revision on one machine and number of threads count as the best of them.

    Parameters
    ----------
    records : sequence of mapping
        Records of ``foveate bench --save`` or ``python -m benchmarks.history --add``, in any order.
    title : str, optional

    Returns
    -------
    matplotlib.figure.Figure
        A new figure, which pyplot does not know.

    Raises
    ------
    ImportError
        Without matplotlib.
    ValueError
        No record, or none with a workload of the kind "grid" and a limit.

    Examples
    --------
    >>> from foveate.cli import bench_cases, bench_record
    >>> from foveate.plot import history
    >>> kinds = {"grid": bench_cases.GRID[:1]}  # a second; all of them where left out
    >>> record = bench_record.measure_record(n_threads=1, kinds=kinds, quick=True)
    >>> figure = history([record])
    >>> figure.axes[0].get_yscale()
    'log'
    """
    need_matplotlib()
    revisions = list(dict.fromkeys(commit_of(record) for record in sorted(records, key=when)))
    lines = best_lines(records, revisions)
    if not lines:
        raise ValueError(f"records: got {len(records)} without a limit and a 'grid' workload, expected one")
    machines = list(dict.fromkeys(machine for machine, _ in lines))
    shapes = list(dict.fromkeys(shape for _, shape in lines))

    from matplotlib.figure import Figure

    near = [shape for shape in shapes if smallest(lines, shape) < FAR]
    groups = [group for group in ([s for s in shapes if s not in near], near) if group]
    width = min(max(5.6 + 0.45 * len(revisions), 8.0), 13.0)
    figure = Figure(figsize=(width, 4.2 + 1.2 * (len(groups) - 1)), layout="constrained")
    heights = [1.0, 3.0] if len(groups) == 2 else [1.0]
    panels = list(figure.subplots(len(groups), 1, sharex=True, squeeze=False, height_ratios=heights).ravel())
    for ax, group in zip(panels, groups, strict=True):
        ax.set_yscale("log")
        open_axes(ax)
        for (machine, shape), points in lines.items():
            if shape in group:
                n, at = shapes.index(shape), sorted(points)
                ax.plot(
                    at, [points[i] for i in at], ls=LINES[machines.index(machine) % len(LINES)][0], lw=1.4,
                    color=COLOURS[n % len(COLOURS)], marker=MARKERS[n % len(MARKERS)], ms=5,
                )  # fmt: skip
        scale(ax, with_limit=group is near)
    finish(panels[-1], revisions, records)
    figure.supylabel("time / time at the limit", fontsize=FONT_SIZE)
    figure.suptitle(title or "Time over revisions, relative to the machine's limit", x=0.01, ha="left")
    kinds = [f"{LINES[i % len(LINES)][1]}: {machine}" for i, machine in enumerate(machines)]
    figure.supxlabel(
        "\n".join(kinds if len(kinds) > 1 else machines),
        x=0.01,
        ha="left",
        fontsize=FONT_SIZE - 1,
        color=GREY,
    )
    for ax, group in zip(panels, groups, strict=True):
        label_ends(ax, [end_of(lines, shape, shapes.index(shape)) for shape in group])
    return figure


Lines: TypeAlias = dict[tuple[str, str], dict[int, float]]


def smallest(lines: Lines, shape: str) -> float:
    return min(min(points.values()) for (_, name), points in lines.items() if name == shape)


def end_of(lines: Lines, shape: str, n: int) -> tuple[float, float, str, str]:
    """Where the label of a shape belongs: at its newest revision, on the first machine that has it."""
    at, value = max(
        ((max(points), points[max(points)]) for (_, name), points in lines.items() if name == shape),
        key=lambda end: end[0],
    )
    return at, value, f"{shape}  {factor(value)}", COLOURS[n % len(COLOURS)]


def when(record: Record) -> tuple[bool, str, str]:
    """Commits by their day, then what belongs to no commit by its own."""
    revision = record["revision"]
    return (revision is None, "" if revision is None else revision["committed"], record["time"])


def best_lines(records: Sequence[Record], revisions: list[str]) -> Lines:
    """(machine in words, shape) -> index of the revision -> the best time over the limit's."""
    lines: Lines = {}
    for record in sorted(records, key=when):
        at = revisions.index(commit_of(record))
        for row in record["workloads"]:
            if row["kind"] == "grid" and row["limit"] is not None:
                points = lines.setdefault((in_words(record), row["shape"]), {})
                points[at] = min(1.0 / row["limit"]["share"], points.get(at, float("inf")))
    return lines


def scale(ax: Axes, *, with_limit: bool) -> None:
    """Room around the points, ticks with numbers that read well; the limit as a line where it is near."""
    low, high = ax.get_ylim()
    low, high = (0.85, max(1.2 * high, 2.0)) if with_limit else (low / 1.5, high * 1.5)
    ax.set_ylim(low, high)
    ax.set_yticks(ticks := steps(low, high, 8 if with_limit else 3), [f"{plain(tick)} x" for tick in ticks])
    ax.minorticks_off()
    if with_limit:
        ax.axhline(1.0, color="0.35", lw=1.2)
        ax.annotate(
            "the limit", (0.0, 1.0), (4, 3), xycoords=("axes fraction", "data"), textcoords="offset points",
            fontsize=FONT_SIZE, color="0.25",
        )  # fmt: skip


def finish(ax: Axes, revisions: list[str], records: Sequence[Record]) -> None:
    """Revisions that do not crowd, the last one always; with their days where there is room."""
    days = {
        commit_of(record): (record["revision"] or {"committed": record["time"]})["committed"][:10]
        for record in records
    }
    step = -(-len(revisions) // MOST_TICKS)
    shown = list(range(len(revisions) - 1, -1, -step))[::-1]
    if len(revisions) <= MOST_DAYS:
        ax.set_xticks(shown, [f"{revisions[i]}\n{days[revisions[i]]}" for i in shown])
    else:
        ax.set_xticks(
            shown, [revisions[i] for i in shown], rotation=35, ha="right", rotation_mode="anchor"
        )  # fmt: skip
    ax.set_xlim(-0.4, len(revisions) - 0.6)
