import sys

from benchmarks.targets.cli import main

if __name__ == "__main__":
    sys.exit(main())
