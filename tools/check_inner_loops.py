"""The inner loops of the AVX-512 kernels, as the compiler left them: multiply-adds, spills, calls.

    python tools/check_inner_loops.py OBJECT        an object file or library with the avx512 kernels

An inner loop is a backward jump without another one inside. For every kernel of LOOPS its loops with the
most multiply-adds are looked at: they need the stated number of them per iteration, at most the stated other
vector instructions that move data, no access to the stack (a spilled register) and no call. Exit 1 and a
line per finding otherwise.
"""

import re
import subprocess
import sys
from dataclasses import dataclass

LINE = re.compile(r"^\s*([0-9a-f]+):\s+(\S+)\s*(.*)$")
FUNCTION = re.compile(r"^[0-9a-f]+ <(\S+)>:$")
FMA = re.compile(r"^vfn?m(add|sub)\d+[ps][sd]$")


@dataclass(frozen=True)
class Expected:
    """Of one iteration: multiply-adds, and instructions in all."""

    fma: int
    most: int


# 8 keys (or columns) x 3 vectors of queries, unrolled over 4 steps of head_dim or 2 keys: 24 multiply-adds
# per step, 8 broadcasts folded or alone, 3 loads, and what counts the loop.
LOOPS = {
    "fov_score_dot_lanes_f32_avx512": Expected(fma=96, most=150),
    "fov_score_dot_lanes_f64_avx512": Expected(fma=96, most=150),
    "fov_combine_weighted_sum_lanes_f32_avx512": Expected(fma=48, most=78),
    "fov_combine_weighted_sum_lanes_f64_avx512": Expected(fma=48, most=78),
}


def functions(path: str) -> dict[str, list[tuple[int, str, str]]]:
    """(address, mnemonic, operands) of the instructions of each function."""
    text = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", path], capture_output=True, text=True, check=True
    ).stdout
    found: dict[str, list[tuple[int, str, str]]] = {}
    current: list[tuple[int, str, str]] = []
    for line in text.splitlines():
        if header := FUNCTION.match(line):
            current = found.setdefault(header[1], [])
        elif instruction := LINE.match(line):
            current.append((int(instruction[1], 16), instruction[2], instruction[3]))
    return found


def inner_loops(code: list[tuple[int, str, str]]) -> list[list[tuple[int, str, str]]]:
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


def findings(name: str, code: list[tuple[int, str, str]], expected: Expected) -> list[str]:
    loops = [(sum(bool(FMA.match(op)) for _, op, _ in body), body) for body in inner_loops(code)]
    full = [body for fma, body in loops if fma == expected.fma]
    if not full:
        came = sorted({n for n, _ in loops})
        return [f"{name}: no inner loop with {expected.fma} multiply-adds, only {came}"]
    found = []
    for body in full:
        where = f"{name} at {body[0][0]:x}"
        spills = [text for _, op, text in body if op.startswith("v") and re.search(r"\(%r[sb]p\)", text)]
        calls = [operands for _, op, operands in body if op.startswith("call")]
        if spills:
            found.append(f"{where}: {len(spills)} accesses to the stack, first {spills[0]}")
        if calls:
            found.append(f"{where}: calls {', '.join(calls)}")
        if len(body) > expected.most:
            found.append(f"{where}: {len(body)} instructions per iteration, at most {expected.most} expected")
    return found


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    code = functions(sys.argv[1])
    problems = []
    for name, expected in LOOPS.items():
        if name in code:
            problems += findings(name, code[name], expected)
        else:
            problems.append(f"{name}: not in {sys.argv[1]}")
    for problem in problems:
        print(problem)
    print(f"inner loops: {len(LOOPS)} kernels, {len(problems)} findings")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
