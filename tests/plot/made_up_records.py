"""Benchmark records with numbers that were never measured, for pictures and tables."""

import copy

SHAPES = ["tiny 3 x 2", "H8 L1024 D64", "H8 L1024 D64 causal", "decode $H$ L4096"]
PEERS = ["numpy", "torch", "openvino"]


def workload(kind, shape, length, gflops, share, intensity):
    ours = 1e-6 * length**2
    seconds = {"foveate": {"min": ours, "median": 1.1 * ours, "repeats": 5}}
    for n, peer in enumerate(PEERS):
        # the peers meet at the right end, where their labels would overlap
        seconds[peer] = {"min": ours * (1.2 + 0.01 * n), "median": ours * (1.4 + 0.01 * n), "repeats": 5}
    return {
        "kind": kind,
        "shape": shape,
        "sizes": {
            "n_q_heads": 4,
            "n_kv_heads": 4,
            "q_len": length,
            "kv_len": length,
            "head_dim": 64,
            "causal": False,
            "dtype": "float32",
        },
        "flops": 256.0 * length**2,
        "bytes": 4096 * length,
        "intensity": intensity,
        "correct": dict.fromkeys(seconds, True),
        "error_ratio": dict.fromkeys(seconds, 0.25),
        "seconds": seconds,
        "gflops": gflops,
        "gbps": gflops / intensity,
        "ratio": {peer: seconds[peer]["median"] / seconds["foveate"]["median"] for peer in PEERS},
        "limit": {"name": "fma_f32", "gflops": gflops / share, "share": share},
    }


def record(commit="a" * 40, committed="2026-01-01T00:00:00+00:00", faster=1.0, **changes):
    """A record whose shares of the limit are ``faster`` times those of others."""
    grid = [
        workload("grid", shape, 1024, 100.0 * share, share * faster, intensity)
        for shape, share, intensity in zip(SHAPES, (1e-4, 0.5, 0.51, 0.3), (0.75, 256, 128, 2), strict=True)
    ]
    lengths = [workload("length", f"H4 L{n} D64", n, 20.0, 0.2 * faster, n / 4) for n in (16, 64, 256, 1024)]
    made = {
        "schema": 1,
        "time": "2026-01-02T03:04:05+00:00",
        "foveate": "0.1.0",
        "revision": {"commit": commit, "committed": committed, "subject": "Something", "dirty": False},
        "machine": {"name": "made-up-2-cpus", "cpu": "Made-up CPU", "cpus": 2},
        "isa": "avx2",
        "threads": 1,
        "roofs": {"fma_f32": 200.0, "read_l1": 400.0, "read_l2": 100.0, "read_l3": 22.0, "read_dram": 20.0},
        "peers": dict.fromkeys(PEERS, "1.0"),
        "workloads": grid + lengths,
    }
    return copy.deepcopy(made | changes)
