"""Sizes of the caches, and the working sets that follow from them."""

import pytest

from foveate import _caches
from foveate._caches import Cache
from foveate._limit_plan import thread_bytes

KIB, MIB = 1 << 10, 1 << 20


def machine(l1, l2, l3=None):
    """Caches given as (bytes, sharers)."""
    given = {1: l1, 2: l2, 3: l3}
    return {level: Cache(*cache, "sysfs") for level, cache in given.items() if cache}


SERVER = machine((48 * KIB, 2), (2 * MIB, 2), (260 * MIB, 96))  # two hardware threads per core
DESKTOP = machine((32 * KIB, 1), (1 * MIB, 1), (16 * MIB, 8))
SMALL_ARM = machine((32 * KIB, 1), (512 * KIB, 4))


def write_index(folder, number, **files):
    index = folder / f"index{number}"
    index.mkdir()
    for name, text in files.items():
        (index / name).write_text(f"{text}\n")


@pytest.mark.parametrize(("text", "n"), [("0", 1), ("0-1\n", 2), ("0-3,8,10-11", 7)])
def test_lists_of_cpus(text, n):
    assert _caches.cpus_in(text) == n


def test_sysfs(tmp_path):
    write_index(tmp_path, 0, type="Data", level=1, size="48K", shared_cpu_list="0")
    write_index(tmp_path, 1, type="Instruction", level=1, size="32K", shared_cpu_list="0")
    write_index(tmp_path, 2, type="Unified", level=2, size="2048K", shared_cpu_list="0-1")
    write_index(tmp_path, 3, type="Unified", level=3, size="260M", shared_cpu_list="0-3,8")
    assert _caches.from_sysfs(tmp_path) == {
        1: Cache(48 * KIB, 1, "sysfs"),
        2: Cache(2 * MIB, 2, "sysfs"),
        3: Cache(260 * MIB, 5, "sysfs"),
    }


def test_sysfs_that_cannot_be_read(tmp_path):
    write_index(tmp_path, 0, type="Data", level=1, size="?", shared_cpu_list="0")
    write_index(tmp_path, 1, type="Unified", level=2, size="1M")  # no list
    write_index(tmp_path, 2, type="Unified", level="x", size="1M", shared_cpu_list="0")
    write_index(tmp_path, 3, type="Unified", level=3, size="0K", shared_cpu_list="0")
    write_index(tmp_path, 4, type="Unified", level=4, size="1G", shared_cpu_list="")
    assert _caches.from_sysfs(tmp_path) == {}
    assert _caches.from_sysfs(tmp_path / "nowhere") == {}


def test_assumed_where_nobody_knows(monkeypatch):
    monkeypatch.setattr(_caches, "from_sysfs", dict)
    monkeypatch.setattr(_caches.os, "sysconf", lambda name: 0)
    assert {level: cache.source for level, cache in _caches.caches().items()} == {1: "assumed", 2: "assumed"}


def test_sysfs_before_sysconf(monkeypatch):
    monkeypatch.setattr(_caches, "from_sysfs", lambda: {2: Cache(3 * MIB, 4, "sysfs")})
    monkeypatch.setattr(_caches.os, "sysconf", lambda name: 64 * KIB)
    found = _caches.caches()
    assert found[1] == Cache(64 * KIB, 1, "sysconf")
    assert found[2] == Cache(3 * MIB, 4, "sysfs")


@pytest.mark.parametrize(
    ("caches", "threads", "expected"),
    [
        (SERVER, 1, (24 * KIB, 1 * MIB, 8 * MIB)),  # an L3 of 260 MiB belongs to others, too
        (SERVER, 2, (12 * KIB, 512 * KIB, 4 * MIB)),
        (SERVER, 96, (12 * KIB, 512 * KIB, 260 * MIB // 96 * 3 // 4 // 512 * 512)),
        (DESKTOP, 1, (16 * KIB, 512 * KIB, 4 * MIB)),
        (DESKTOP, 8, (16 * KIB, 512 * KIB, None)),  # 2 MiB of L3 each: most of a part of that would be in L2
        (SMALL_ARM, 1, (16 * KIB, 256 * KIB, None)),
        (SMALL_ARM, 4, (16 * KIB, 64 * KIB, None)),
        (machine((48 * KIB, 1), (64 * KIB, 1)), 1, (24 * KIB, None, None)),
    ],
)
def test_working_sets(caches, threads, expected):
    assert tuple(thread_bytes(level, threads, caches) for level in (1, 2, 3)) == expected
