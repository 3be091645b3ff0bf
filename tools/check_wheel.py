"""Check what is inside a built wheel: tags, symbols, files, size.

    python tools/check_wheel.py dist/foveate-*.whl

abi3audit looks at the symbols that the extension imports; this looks at those it exports, and at the files.
"""

import argparse
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

EXTENSION = "foveate/_core.abi3.so"
REQUIRED = (
    EXTENSION,
    "foveate/__init__.py",
    "foveate/_core.pyi",
    "foveate/data/alice.txt",
    "foveate/include/foveate/foveate.h",
    "foveate/py.typed",
    "foveate/reference.py",
)
UNWANTED_SUFFIXES = (".c", ".pyx", ".pxi", ".o", ".a", "CMakeLists.txt")
MAX_BYTES = 3_000_000  # about twice what it is: growth beyond that is news


def exported_symbols(library: Path) -> list[str]:
    """Symbols that the dynamic linker sees defined in the library."""
    listing = subprocess.run(
        ["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True
    )
    return [line.split()[-1] for line in listing.stdout.splitlines()]


def problems(wheel: Path) -> list[str]:
    found = []
    if "-cp311-abi3-" not in wheel.name:
        found.append(f"{wheel.name} is not tagged cp311-abi3")
    size = wheel.stat().st_size
    if size > MAX_BYTES:
        found.append(f"{size} bytes, expected at most {MAX_BYTES}")
    with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory() as folder:
        names = archive.namelist()
        found += [f"{name} is missing" for name in REQUIRED if name not in names]
        found += [
            f"{name} does not belong into a wheel" for name in names if name.endswith(UNWANTED_SUFFIXES)
        ]
        if not any(name.endswith("/licenses/LICENSE") for name in names):
            found.append("the license is missing")
        libraries = [name for name in names if name.endswith(".so")]
        if libraries != [EXTENSION]:
            found.append(f"shared libraries are {libraries}, expected {EXTENSION} alone")
        for name in libraries:
            symbols = exported_symbols(Path(archive.extract(name, folder)))
            found += [
                f"{name} exports {symbol}; only PyInit_* and fov_* are public"
                for symbol in symbols
                if not symbol.startswith(("PyInit_", "fov_"))
            ]
            for symbol in ("PyInit__core", "fov_attention", "fov_workspace_size", "fov_set_isa"):
                if symbol not in symbols:
                    found.append(f"{name} does not export {symbol}")
            public = sum(symbol.startswith("fov_") for symbol in symbols)
            print(f"{wheel.name}: {size} bytes, {len(names)} files, {public} fov_* symbols")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Check what is inside a built wheel.")
    parser.add_argument("wheel", type=Path)
    found = problems(parser.parse_args().wheel)
    for problem in found:
        print(problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
