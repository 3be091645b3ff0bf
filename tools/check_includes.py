"""Check the include rules of ARCHITECTURE.md: which room of the source tree may know which.

    python tools/check_includes.py [root]

Prints one line per violation (file, line, what is included, why not) and exits with 1 if there is any.
"""

import argparse
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

C_STANDARD = frozenset(
    {
        "assert.h",
        "complex.h",
        "ctype.h",
        "errno.h",
        "fenv.h",
        "float.h",
        "inttypes.h",
        "limits.h",
        "locale.h",
        "math.h",
        "setjmp.h",
        "signal.h",
        "stdalign.h",
        "stdarg.h",
        "stdatomic.h",
        "stdbool.h",
        "stddef.h",
        "stdint.h",
        "stdio.h",
        "stdlib.h",
        "stdnoreturn.h",
        "string.h",
        "tgmath.h",
        "threads.h",
        "time.h",
    }
)
INTRINSICS = frozenset({"arm_neon.h", "immintrin.h", "xmmintrin.h"})
POSIX = frozenset({"fcntl.h", "sched.h", "sys/auxv.h", "sys/syscall.h", "sys/types.h", "unistd.h"})
THREADS = frozenset({"omp.h", "pthread.h"})


@dataclass(frozen=True)
class Room:
    """What the files of one folder may include; project names ending in "/" allow the whole folder."""

    project: tuple[str, ...]
    system: frozenset[str] = C_STANDARD


ROOMS = {
    "csrc/include": Room(()),
    "csrc/include/foveate/foveate_capsule.h": Room(("foveate/foveate.h",), C_STANDARD | {"Python.h"}),
    "csrc/simd": Room(("simd/",), C_STANDARD | INTRINSICS),
    "csrc/kernels": Room(("simd/", "kernels/", "foveate/foveate.h")),  # fov_dtype
    "csrc/attention": Room(
        ("attention/", "kernels/kernel_types.h", "parallel/parallel.h", "foveate/foveate.h"),
    ),
    "csrc/dispatch": Room(
        ("dispatch/", "kernels/kernel_types.h", "kernels/kernels.def", "foveate/foveate.h")
    ),
    "csrc/dispatch/cpu.c": Room(("dispatch/", "foveate/foveate.h"), C_STANDARD | POSIX | {"cpuid.h"}),
    "csrc/api": Room(
        (
            "api/",
            "attention/",
            "dispatch/",
            "kernels/kernel_types.h",
            "kernels/kernels.def",
            "foveate/foveate.h",
        ),
    ),
    "csrc/limits": Room(
        (
            "limits/",
            "simd/",
            "dispatch/cpu.h",
            "kernels/kernels.def",
            "parallel/parallel.h",
            "foveate/foveate.h",
        ),
        C_STANDARD | POSIX,
    ),
    "csrc/parallel": Room(("parallel/", "foveate/foveate.h"), C_STANDARD | POSIX | THREADS),
}
PUBLIC_HEADERS = frozenset({"foveate/foveate.h", "foveate/foveate_capsule.h"})
C_SUFFIXES = frozenset({".c", ".h", ".def"})
C_INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"(?P<quoted>[^"]+)"|<(?P<angled>[^>]+)>|(?P<computed>\w+))')
CYTHON_EXTERN = re.compile(r"""\bextern\s+from\s+["'](?P<header>[^"']+)["']""")
CYTHON_NUMPY = re.compile(r"^\s*(?:cimport\s+numpy|from\s+numpy\S*\s+cimport)\b")
PATH_TRICK = re.compile(r"\bsys\.path\b|\bsite\.addsitedir\b")


@dataclass(frozen=True)
class Violation:
    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    yield from enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)


def room_of(relative: str) -> Room | None:
    """The most specific room that holds the file."""
    owners = [name for name in ROOMS if relative == name or relative.startswith(name + "/")]
    return ROOMS[max(owners, key=len)] if owners else None


def project_name(root: Path, source: Path, included: str) -> str | None:
    """The name of a project header relative to its include directory, None if it is not ours."""
    csrc = (root / "csrc").resolve()
    for folder in (source.parent, csrc, csrc / "include"):
        target = (folder / included).resolve()
        if target.is_file() and target.is_relative_to(csrc):
            return target.relative_to(csrc).as_posix().removeprefix("include/")
    return None


def check_c_file(root: Path, path: Path) -> Iterator[Violation]:
    relative = path.relative_to(root).as_posix()
    room = room_of(relative)
    if room is None:
        yield Violation(relative, 1, f"belongs to no room; the rooms are {', '.join(ROOMS)}")
        return
    for line, text in numbered_lines(path):
        match = C_INCLUDE.match(text)
        if match is None:
            continue
        if match["computed"]:
            yield Violation(relative, line, f"includes the macro {match['computed']}: write the file name")
            continue
        included = match["quoted"] or match["angled"]
        ours = project_name(root, path, included)
        if ours is not None:
            if not any(
                ours == name or (name.endswith("/") and ours.startswith(name)) for name in room.project
            ):
                allowed = ", ".join(room.project) or "no project header"
                yield Violation(relative, line, f'includes "{ours}"; this room may include {allowed}')
        elif match["quoted"]:
            yield Violation(relative, line, f'includes "{included}", which is no file of csrc')
        elif included not in room.system:
            extra = ", ".join(sorted(room.system - C_STANDARD)) or "nothing else"
            yield Violation(
                relative, line, f"includes <{included}>; this room may include C11 headers and {extra}"
            )


def check_unique_names(root: Path) -> Iterator[Violation]:
    by_name = defaultdict(list)
    for path in sorted((root / "csrc").rglob("*")):
        if path.suffix in C_SUFFIXES:
            by_name[path.name].append(path.relative_to(root).as_posix())
    for first, *others in by_name.values():
        for other in others:
            yield Violation(other, 1, f"has the same base name as {first}")


def check_cython_file(root: Path, path: Path) -> Iterator[Violation]:
    relative = path.relative_to(root).as_posix()
    for line, text in numbered_lines(path):
        match = CYTHON_EXTERN.search(text)
        if match is not None:
            header = match["header"]
            if header != "foveate/foveate.h" and header.strip("<>") not in C_STANDARD:
                yield Violation(
                    relative, line, f'includes "{header}"; bindings may include foveate/foveate.h'
                )
        if CYTHON_NUMPY.match(text):
            yield Violation(relative, line, "cimports NumPy; bindings use buffers, not the NumPy C-API")


def check_outside_file(root: Path, path: Path) -> Iterator[Violation]:
    """Tests and benchmarks see what a user sees: the installed package and the public header."""
    relative = path.relative_to(root).as_posix()
    for line, text in numbered_lines(path):
        if path.suffix == ".py":
            match = PATH_TRICK.search(text)
            if match is not None:
                yield Violation(relative, line, f"uses {match[0]}; tests see the installed package only")
        else:
            include = C_INCLUDE.match(text)
            ours = project_name(root, path, include["quoted"] or include["angled"] or "") if include else None
            if ours is not None and ours not in PUBLIC_HEADERS:
                yield Violation(relative, line, f'includes the internal header "{ours}"')


# Tests of the C core itself; they link the static library.
INTERNAL_TESTS = ("tests/capi/", "tests/limits/", "tests/threads/")


def violations(root: Path) -> Iterator[Violation]:
    for path in sorted((root / "csrc").rglob("*")):
        if path.suffix in C_SUFFIXES:
            yield from check_c_file(root, path)
    yield from check_unique_names(root)
    for path in sorted((root / "src").rglob("*")):
        if path.suffix in {".pyx", ".pxd", ".pxi"}:
            yield from check_cython_file(root, path)
    for folder in ("tests", "benchmarks"):
        for path in sorted((root / folder).rglob("*")):
            internal = (
                path.relative_to(root).as_posix().startswith(INTERNAL_TESTS) and path.suffix in C_SUFFIXES
            )
            if path.suffix in C_SUFFIXES | {".py"} and not internal:
                yield from check_outside_file(root, path)


def main() -> int:
    parser = argparse.ArgumentParser(description="Check who may include whom.")
    parser.add_argument("root", nargs="?", type=Path, default=Path(__file__).parents[1], help="project root")
    root = parser.parse_args().root.resolve()
    if not any((root / "csrc").rglob("*.c")):
        parser.error(f"{root} has no csrc/**/*.c to check")
    found = list(violations(root))
    for violation in found:
        print(violation)
    print(f"include rules: {len(found)} violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
