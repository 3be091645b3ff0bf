"""A peer of benchmarks.targets that starts one process after the other, as one with telemetry may."""

import subprocess
import threading


def _start_processes():
    while True:
        subprocess.run(["true"], check=True)


threading.Thread(target=_start_processes, daemon=True).start()


def forms(work, n_threads):
    return []
