"""Sizes of the data caches, and how many CPUs share each. Private: see `foveate.limits`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SYSFS = Path("/sys/devices/system/cpu/cpu0/cache")
SYSCONF = {1: "SC_LEVEL1_DCACHE_SIZE", 2: "SC_LEVEL2_CACHE_SIZE", 3: "SC_LEVEL3_CACHE_SIZE"}
ASSUMED = {1: 32 << 10, 2: 512 << 10}  # bytes; what small cores have. Of an L3 nothing is assumed.
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@dataclass(frozen=True)
class Cache:
    """One cache of a CPU. ``sharers``: CPUs that use it together."""

    n_bytes: int
    sharers: int
    source: str  # "sysfs", "sysconf" or "assumed"


def cpus_in(text: str) -> int:
    """Number of CPUs in a list of the kernel.

    >>> cpus_in("0-3,8"), cpus_in("5")
    (5, 1)
    """
    n = 0
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        n += int(last or first) - int(first) + 1
    return n


def from_sysfs(folder: Path = SYSFS) -> dict[int, Cache]:
    """Data and unified caches of the first CPU; those that cannot be read are left out."""
    found = {}
    for index in sorted(folder.glob("index*")):
        try:
            kind, level, size, shared = (
                (index / name).read_text().strip() for name in ("type", "level", "size", "shared_cpu_list")
            )
            match = re.fullmatch(r"(\d+)([KMG]?)", size)
            if kind != "Instruction" and match is not None and int(match[1]) > 0:
                found[int(level)] = Cache(int(match[1]) * UNITS[match[2]], cpus_in(shared), "sysfs")
        except (OSError, ValueError):
            continue
    return found


def from_sysconf() -> dict[int, Cache]:
    """What the C library knows; it does not know who shares a cache, so L3 is taken for everybody's."""
    found = {}
    for level, name in SYSCONF.items():
        try:
            n_bytes = os.sysconf(name)
        except (ValueError, OSError, AttributeError):
            continue
        if n_bytes > 0:
            found[level] = Cache(n_bytes, (os.cpu_count() or 1) if level == 3 else 1, "sysconf")
    return found


def caches() -> Mapping[int, Cache]:
    """Caches by level: from sysfs, else from sysconf, else small sizes that are safe to assume."""
    assumed = {level: Cache(n_bytes, 1, "assumed") for level, n_bytes in ASSUMED.items()}
    return {**assumed, **from_sysconf(), **from_sysfs()}
