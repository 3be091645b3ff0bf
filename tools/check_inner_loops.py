"""The inner loops of the AVX-512 kernels and of AMX, as the compiler left them: products, spills, calls.

    python tools/check_inner_loops.py OBJECT...     isa_avx512.c.o, isa_amx.c.o, limits_amx.c.o, or a library

An inner loop is a backward jump without another one inside. For every entry of LOOPS the loops with that many
products (multiply-adds, or tile products) and tile loads are looked at: there has to be one, with at most the
stated number of instructions per iteration, no access to the stack (a spilled register), no tile stored and
no call. Exit 1 and a line per finding otherwise. A new kernel, of AMX too, is a line of LOOPS under the name
of its object file.
"""

import argparse
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

LINE = re.compile(r"^\s*([0-9a-f]+):\s+(\S+)\s*(.*)$")
FUNCTION = re.compile(r"^[0-9a-f]+ <(\S+)>:$")
FMA = re.compile(r"^vfn?m(add|sub)\d+[ps][sd]$")
TILE_PRODUCT = re.compile(r"^tdp")  # tdpbf16ps, tdpfp16ps, tdpbssd, ...
TILE_LOAD = re.compile(r"^tileload")
STACK = re.compile(r"\(%rsp[,)]|\(%rbp\)")

Instruction = tuple[int, str, str]  # address, mnemonic, operands


@dataclass(frozen=True)
class Expected:
    """Of one iteration: products, tile loads (AMX only), and instructions in all."""

    fma: int = 0
    tdp: int = 0
    tile_loads: int = 0
    most: int = 0

    def __str__(self) -> str:
        return (
            f"{self.tdp} tile products and {self.tile_loads} tile loads"
            if self.tdp
            else f"{self.fma} multiply-adds"
        )


# object -> function -> its loops. AVX-512: 8 keys (or columns) x 3 vectors of queries, unrolled over 8 steps
# of head_dim or 2 keys: 24 multiply-adds per step, 8 broadcasts folded or alone, 3 loads; the dot asks for
# lines of the next rows. AMX: three tiles of sums share a tile of keys or values, or two planes of it; in the
# probe 2 x 2 sums take four products from four tiles.
AMX_LOOPS = (
    Expected(tdp=3, tile_loads=4, most=18),
    Expected(tdp=9, tile_loads=8, most=36),
    Expected(tdp=18, tile_loads=13, most=64),
)
LOOPS: dict[str, dict[str, tuple[Expected, ...]]] = {
    "isa_avx512": {
        "fov_score_dot_lanes_f32_avx512": (Expected(fma=192, most=324),),
        "fov_score_dot_lanes_f64_avx512": (Expected(fma=192, most=324),),
        "fov_combine_weighted_sum_lanes_f32_avx512": (Expected(fma=48, most=78),),
        "fov_combine_weighted_sum_lanes_f64_avx512": (Expected(fma=48, most=78),),
    },
    "isa_amx": {
        "fov_tile_score_f32_amx": AMX_LOOPS,
        "fov_tile_weighted_sum_f32_amx": AMX_LOOPS,
    },
    "limits_amx": {
        "run_amx": (Expected(tdp=4, most=7), Expected(tdp=4, tile_loads=4, most=16)),
    },
}


def functions(path: Path) -> dict[str, list[Instruction]]:
    """The instructions of each function; a clone (.isra, .constprop) goes by the name of its original."""
    text = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", str(path)], capture_output=True, text=True, check=True
    ).stdout
    found: dict[str, list[Instruction]] = {}
    current: list[Instruction] = []
    for line in text.splitlines():
        if header := FUNCTION.match(line):
            current = found.setdefault(header[1].split(".")[0], [])
        elif instruction := LINE.match(line):
            current.append((int(instruction[1], 16), instruction[2], instruction[3]))
    return found


def inner_loops(code: list[Instruction]) -> list[list[Instruction]]:
    """Bodies of the backward jumps that have no other backward jump inside."""
    at = {address: index for index, (address, _, _) in enumerate(code)}
    spans = []
    for index, (address, name, operands) in enumerate(code):
        target = operands.split()[0] if operands else ""
        if name.startswith("j") and re.fullmatch("[0-9a-f]+", target) and int(target, 16) <= address:
            start = at.get(int(target, 16))
            if start is not None:
                spans.append((start, index))
    inner = [a for a in spans if not any(b != a and a[0] <= b[0] and b[1] <= a[1] for b in spans)]
    return [code[first : last + 1] for first, last in inner]


def count(body: list[Instruction], pattern: re.Pattern[str]) -> int:
    return sum(bool(pattern.match(name)) for _, name, _ in body)


def findings(name: str, code: list[Instruction], expected: Expected) -> list[str]:
    """What is wrong with the loops of one function that are as expected, or that there are none."""
    loops = inner_loops(code)
    wanted = expected.fma, expected.tdp, expected.tile_loads
    counts = [tuple(count(body, p) for p in (FMA, TILE_PRODUCT, TILE_LOAD)) for body in loops]
    full = [body for body, found in zip(loops, counts, strict=True) if found == wanted]
    if not full:
        came = sorted({found[1:] if expected.tdp else found[0] for found in counts})
        return [f"{name}: no inner loop with {expected}, only {came}"]
    problems = []
    for body in full:
        where = f"{name} at {body[0][0]:x}"
        moves = [(op, text) for _, op, text in body if expected.tdp or op.startswith("v")]
        spills = [text for _, text in moves if STACK.search(text)]
        stores = [text for op, text in moves if op.startswith("tilestore")]
        calls = [text for _, op, text in body if op.startswith("call")]
        if spills:
            problems.append(f"{where}: {len(spills)} accesses to the stack, first {spills[0]}")
        if stores:
            problems.append(f"{where}: {len(stores)} tiles stored, first {stores[0]}")
        if calls:
            problems.append(f"{where}: calls {', '.join(calls)}")
        if len(body) > expected.most:
            problems.append(
                f"{where}: {len(body)} instructions per iteration, at most {expected.most} expected"
            )
    return problems


def check(path: Path) -> tuple[int, list[str]]:
    """How many loops were looked at, and the findings."""
    code = functions(path)
    own = [name for name in LOOPS if path.name.startswith(name)]
    n_loops, problems = 0, []
    for listed in own or LOOPS:
        for name, loops in LOOPS[listed].items():
            n_loops += len(loops)
            if name not in code:
                problems.append(f"{name}: not in {path}")
                continue
            for expected in loops:
                problems += findings(name, code[name], expected)
    return n_loops, problems


def main() -> int:
    parser = argparse.ArgumentParser(description="Check the inner loops of compiled kernels.")
    parser.add_argument("objects", nargs="+", type=Path, metavar="OBJECT")
    results = [check(path) for path in parser.parse_args().objects]
    problems = [problem for _, found in results for problem in found]
    for problem in problems:
        print(problem)
    print(f"inner loops: {sum(n for n, _ in results)} checked, {len(problems)} findings")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
