"""Print the largest errors of exp2, tanh and reciprocal for each ISA, and where they occur, as Markdown.

Compiles tools/ulp_sweep.c once per ISA, with the flags of cmake/FoveateIsa.cmake, and runs it.

    python tools/ulp_sweep.py                              all 2^32 floats: minutes per ISA
    python tools/ulp_sweep.py --every 4099 --count 100000  a sample, in a second
    CC=aarch64-linux-gnu-gcc python tools/ulp_sweep.py --isas neon --run "qemu-aarch64 -L SYSROOT"
"""

import argparse
import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
#: what /proc/cpuinfo must name
CPU_FLAGS = {"avx512": {"avx512f", "avx512bw", "avx512dq", "avx512vl"}, "avx2": {"avx2", "fma", "f16c"}}
COMMON = ["-std=gnu11", "-O3", "-fno-math-errno", "-ffp-contract=off", "-Icsrc", "-Icsrc/include"]


class Worst(NamedTuple):
    """Largest errors of one function, and the arguments that have them."""

    ulp: float
    ulp_at: float
    relative: float  # in u
    relative_at: float
    absolute: float  # in u
    absolute_at: float


def isa_flags():
    """ISA -> (processor, compiler flags), from the table of the build."""
    text = (ROOT / "cmake" / "FoveateIsa.cmake").read_text(encoding="utf-8")
    rows = re.findall(r'^  "(\w+)\|(\w+)\|([^"|]*)"', text, re.MULTILINE)
    # the vectors of amx are those of avx512
    return {isa: (processor, shlex.split(flags)) for isa, processor, flags in rows if isa != "amx"}


def runnable():
    """The ISAs of this machine."""
    machine = {"x86_64": "x86", "AMD64": "x86", "arm64": "aarch64"}.get(
        platform.machine(), platform.machine()
    )
    cpuinfo = Path("/proc/cpuinfo")
    known = set(cpuinfo.read_text().split()) if cpuinfo.exists() else set()
    return [
        isa
        for isa, (processor, _) in isa_flags().items()
        if processor in ("any", machine) and CPU_FLAGS.get(isa, set()) <= known
    ]


def sweep(isa, every, count, run=()):
    """(real type, function) -> Worst of one ISA. A wrong special value is a RuntimeError."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    switches = [f"-DFOV_ISA_{isa.upper()}", f"-DFOV_ISA_NAME={isa}", *isa_flags()[isa][1]]
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "ulp_sweep"
        command = [*compiler, *COMMON, *switches, "tools/ulp_sweep.c", "-o", str(program), "-lm"]
        subprocess.run(command, cwd=ROOT, check=True)
        arguments = [*run, str(program), str(every), str(count)]
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{isa}: status {done.returncode}\n{done.stdout}{done.stderr}")
    lines = [line.split() for line in done.stdout.splitlines()]
    return {
        (real, function): Worst(*(float.fromhex(x) if "x" in x else float(x) for x in numbers))
        for real, function, *numbers in lines
    }


def short_hex(x):
    """x.hex() without the zeros that end the fraction."""
    return re.sub(r"\.?0*p", "p", float(x).hex())


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--every", type=int, default=1, help="only every so many-th float")
    parser.add_argument("--count", type=int, default=5_000_000, help="random doubles per range")
    parser.add_argument("--isas", nargs="+", default=runnable(), choices=[*isa_flags()])
    parser.add_argument("--run", default="", help="command in front of the program, an emulator")
    options = parser.parse_args()
    print("| ISA | real | function | ulp | at | relative, u | at | absolute, u | at |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for isa in options.isas:
        found = sweep(isa, options.every, options.count, shlex.split(options.run))
        for (real, function), worst in found.items():
            pairs = zip(worst[::2], worst[1::2], strict=True)
            cells = [cell for error, at in pairs for cell in (f"{error:.4f}", short_hex(at))]
            if function != "tanh":  # whose results are all at most 1
                cells[4:] = ["", ""]
            print(f"| {isa} | {real} | {function} | {' | '.join(cells)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
