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
LIBRARY = "foveate/lib/libfoveate.so"
REQUIRED = (
    EXTENSION,
    "foveate/__init__.py",
    "foveate/_core.pyi",
    "foveate/data/alice.txt",
    "foveate/__init__.pxd",
    "foveate/cfoveate.pxd",
    "foveate/include/foveate/foveate.h",
    "foveate/include/foveate/foveate_capsule.h",
    "foveate/lib/cmake/foveate/foveateConfig.cmake",
    "foveate/lib/cmake/foveate/foveateConfigVersion.cmake",
    "foveate/lib/libfoveate.a",
    LIBRARY,
    "foveate/lib/pkgconfig/foveate-static.pc",
    "foveate/lib/pkgconfig/foveate.pc",
    "foveate/py.typed",
    "foveate/reference.py",
)
UNWANTED_SUFFIXES = (".c", ".pyx", ".pxi", ".o", "CMakeLists.txt")
MAX_BYTES = 3_000_000  # about twice what it is: growth beyond that is news
EMULATION = b"FOVEATE_EMULATED_AMX_REFUSED"  # csrc/dispatch/cpu.c


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
        libraries = sorted(name for name in names if ".so" in Path(name).suffixes)
        if libraries != [EXTENSION, LIBRARY]:
            found.append(f"shared libraries are {libraries}, expected {EXTENSION} and {LIBRARY}")
        for name in libraries:
            if EMULATION in archive.read(name):
                found.append(f"{name} emulates AMX: FOVEATE_EMULATE_AMX is for tests")
            symbols = exported_symbols(Path(archive.extract(name, folder)))
            found += [
                f"{name} exports {symbol}; only fov_* and the extension's PyInit_* are public"
                for symbol in symbols
                if not symbol.startswith(("PyInit_", "fov_") if name == EXTENSION else "fov_")
            ]
            initialiser = ["PyInit__core"] if name == EXTENSION else []
            for symbol in (*initialiser, "fov_attention", "fov_workspace_size", "fov_set_isa"):
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
