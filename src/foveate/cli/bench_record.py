"""The record of one run of ``foveate bench``: what was measured on what, a line in a file of JSON lines."""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import foveate
from foveate import limits as machine_limits

from .bench_cases import GRID, LENGTHS, BenchCase
from .bench_measure import limit_of, measure, roofs
from .peers import Maker, version
from .timing import best_clock

#: Format of a record; a reader refuses others.
SCHEMA = 1
REQUIRED = ("schema", "time", "foveate", "revision", "machine", "isa", "threads", "roofs", "workloads")
LIMITS_SECONDS = 2.0
SECONDS = 3.0  # per workload, all competitors together

Record = dict[str, Any]
Kinds = Mapping[str, Sequence[BenchCase]]

#: What a whole record holds: the grid of shapes, and the row of lengths.
WHOLE: Kinds = {"grid": GRID, "length": LENGTHS}


def measure_record(
    makers: Mapping[str, Maker] | None = None,
    n_threads: int | None = None,
    *,
    kinds: Kinds = WHOLE,
    quick: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Record:
    """Measure this machine's limits and every workload, in this process and now.

    Parameters
    ----------
    makers : mapping of name to Maker, optional
        Peers that are timed in turns with foveate; none where left out.
    n_threads : int, optional
        For all alike, capped to what the machine has; foveate's default where left out.
    kinds : mapping of str to sequence of BenchCase
        The workloads by kind, which stands in the record.
    quick : bool
        A fifth of the time.
    progress : callable
        Told the number of workloads done, and of all.

    Returns
    -------
    dict
        The record; `append` writes it, `read` reads it.
    """
    makers = makers or {}
    info = foveate.info()
    n_threads = min(n_threads or foveate.get_num_threads(), info["threads"]["available"])
    cases = [(kind, case) for kind, listed in kinds.items() for case in listed]
    progress(0, len(cases) + 1)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    limits = machine_limits.measure(LIMITS_SECONDS / (5 if quick else 1), n_threads)
    found = roofs(limits, n_threads)
    workloads = []
    for done, (kind, case) in enumerate(cases, 1):
        progress(done, len(cases) + 1)
        row = measure(case, makers, n_threads, budget=SECONDS / 5 if quick else SECONDS)
        workloads.append({"kind": kind, **row, "limit": limit_of(row, found, limits.cache_bytes, n_threads)})
    progress(len(cases) + 1, len(cases) + 1)
    return {
        "schema": SCHEMA,
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "foveate": info["version"],
        "revision": revision(Path.cwd()),
        "machine": machine(limits.cache_bytes),
        "compiler": info["compiler"],
        "isa": foveate.get_isa(),
        "threads": n_threads,
        "threads_layer": info["threads"]["layer"],
        "quick": quick,
        "clock": best_clock(n_threads)[0],
        "load": load,
        "peers": {name: version(name) for name in makers},
        "roofs": found,
        "limits": limits.to_dict(),
        "workloads": workloads,
    }


def machine(cache_bytes: Mapping[str, int]) -> dict[str, Any]:
    """What a time depends on, and nothing that names an owner."""
    info = foveate.info()
    cpu = cpu_name()
    without_marks = re.sub(r"\((r|tm)\)|@.*", "", cpu.lower())
    cpus = os.cpu_count() or 1
    return {
        "name": re.sub(r"[^a-z0-9]+", "-", f"{without_marks} {cpus} cpus").strip("-"),
        "cpu": cpu,
        "cpus": cpus,
        "cpu_features": list(info["cpu_features"]),
        "amx": info["amx"],
        "cache_bytes": dict(cache_bytes),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": info["numpy"],
    }


def cpu_name() -> str:
    """The model as Linux or `platform` tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return " ".join(value.split())
    except OSError:
        pass
    return platform.processor() or platform.machine() or "unknown CPU"


def revision(folder: Path) -> dict[str, Any] | None:
    """The commit of the clone of foveate that holds ``folder``; None outside of one.

    It is the commit checked out, which the installed package was built from or was not.
    """

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False
            )
        except OSError:
            return None
        return None if done.returncode else done.stdout.strip()

    root = git("rev-parse", "--show-toplevel")
    if root is None or not (Path(root) / "src" / "foveate" / "_core.pyx").is_file():
        return None
    shown = git("show", "--no-patch", "--format=%H%n%cI%n%s", "HEAD")
    if shown is None:
        return None
    commit, committed, subject = shown.split("\n", 2)
    dirty = bool(git("status", "--porcelain", "--untracked-files=no"))
    return {"commit": commit, "committed": committed, "subject": subject, "dirty": dirty}


def read(path: Path) -> list[Record]:
    """The records of a file, in the order in which they were written.

    Raises
    ------
    ValueError
        A line is no record, or one of another schema; the message names file and line.
    """
    records = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict) or "schema" not in record:
            raise ValueError(f"{path}, line {number}: not a record of foveate bench")
        if record["schema"] != SCHEMA:
            raise ValueError(f"{path}, line {number}: schema {record['schema']!r}, expected {SCHEMA}")
        if missing := [key for key in REQUIRED if key not in record]:
            raise ValueError(f"{path}, line {number}: a record without {missing[0]!r}")
        records.append(record)
    return records


def check_writable(path: Path) -> None:
    """Find out before anything is measured that `append` would fail; ValueError or OSError where it would."""
    if path.exists():
        read(path)
        with path.open("ab"):
            return
    if not path.parent.is_dir():
        raise ValueError(f"{path}: its folder does not exist")
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f"{path}: its folder cannot be written to")


def append(path: Path, record: Record) -> None:
    """Add one line: all of it or, where the disk is full, nothing; two processes may append at once."""
    line = json.dumps(record, allow_nan=False, separators=(",", ":")).encode() + b"\n"
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        with _locked(file):
            before = os.fstat(file).st_size
            if before and os.pread(file, 1, before - 1) != b"\n":
                line = b"\n" + line  # the last line was edited by hand and lost its end
            try:
                written = 0
                while written < len(line):
                    written += os.write(file, line[written:])
                os.fsync(file)
            except OSError:
                os.ftruncate(file, before)
                raise
    finally:
        os.close(file)


@contextmanager
def _locked(file: int) -> Any:
    try:
        import fcntl
    except ImportError:  # no POSIX; a single write with O_APPEND is what there is
        yield
        return
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)
