"""A noisy neighbour: loads one core in bursts of 50 to 300 ms with pauses of the same length.

python -m benchmarks.compare.burst_load          # until it is stopped
"""

import random
import time


def main() -> None:
    rng = random.Random(0)
    while True:
        end = time.perf_counter() + rng.uniform(0.05, 0.3)
        while time.perf_counter() < end:
            sum(i * i for i in range(2000))
        time.sleep(rng.uniform(0.05, 0.3))


if __name__ == "__main__":
    main()
