"""Compare the commit checked out with its parent: ``python -m benchmarks.compare.parent [OPTION...]``.

The options are those of ``python -m benchmarks.compare``. Uncommitted changes belong to the revision judged.
Where there is no parent (a shallow clone, a first commit) nothing is compared, and the exit code is 0.
"""

import subprocess
import sys
from typing import NoReturn

PARENT = "HEAD~1"


def main() -> NoReturn:
    """Run with the arguments of the process."""
    known = subprocess.run(
        ["git", "rev-parse", "--verify", "--quiet", f"{PARENT}^{{commit}}"], capture_output=True, check=False
    )
    if known.returncode:
        print("compare: no parent here (a shallow clone, a first commit, or no clone): nothing is compared")
        sys.exit(0)
    command = [sys.executable, "-m", "benchmarks.compare", PARENT, "--dirty", *sys.argv[1:]]
    sys.exit(subprocess.run(command, check=False).returncode)


if __name__ == "__main__":
    main()
