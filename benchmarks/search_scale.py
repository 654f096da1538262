"""How fast a million subnets are costed: all at once from a table of 10,000 layers, against one by one in a loop.

The space is layer-wise at 1.7 times the paper's width, so that its table has more than 10,000 rows, all invented from
counts: only the arithmetic is measured. The loop, which looks each layer of a subnet up, does a sample of them.
Run: python -m benchmarks.search_scale [--quick]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import numpy as np

from toolkit.costs.predict import Widths, predict_all
from toolkit.specs.cost import CostKey, CostRow, CostTable
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.space import SearchSpace, Subnet, preset_space

GOAL_S = 2.0
BASE_WIDTH, LABELS = 112, 527
SUBNETS, QUICK_SUBNETS, LOOPED = 1_000_000, 50_000, 300
ROUNDS = 5


def main() -> None:
    """Make a table, cost the subnets, print a table for people, and the result as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer subnets")
    count = QUICK_SUBNETS if parser.parse_args().quick else SUBNETS
    space, front_end = preset_space("ew-layerwise", BASE_WIDTH), FrontEndSpec()
    table = invented(space, front_end)
    widths = drawn(space, count)
    at_once, looped = [], []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        costs = predict_all(table, space, widths, front_end, LABELS)
        at_once.append(time.perf_counter() - began)
        began = time.perf_counter()
        slow = [one_by_one(table, space, subnet_of(each), front_end) for each in widths[:LOOPED]]
        looped.append((time.perf_counter() - began) / LOOPED)
    wrong = float(np.abs(np.array(slow) / costs.latency_ms[:LOOPED] - 1).max())
    seconds, alone_s = statistics.median(at_once), statistics.median(looped) * count
    print(f"{len(table.rows):,} layers, {count:,} subnets, median of {ROUNDS}")
    print(f"  all at once              {seconds:8.2f} s")
    ratio = alone_s / seconds
    print(f"  one by one, extrapolated  {alone_s:8.0f} s  ({ratio:.0f} times; largest difference {wrong:.0e})")
    detail = {"layers": len(table.rows), "subnets": count, "loop_ratio": round(ratio), "difference": wrong}
    result = {"name": "search_scale", "figure": round(seconds, 3), "unit": "s", "goal": GOAL_S}
    print(json.dumps({**result, "holds": seconds <= GOAL_S and wrong < 1e-9, "detail": detail}))


def invented(space: SearchSpace, front_end: FrontEndSpec) -> CostTable:
    """A row for each layer of a space, from its counts."""
    key = CostKey(
        device="none",
        runtime="tflite",
        runtime_version="none",
        precision="int8",
        threads=1,
        core_mask="0x1",
        mode="stream",
        space=space,
        front_end=front_end.fingerprint,
        label_count=LABELS,
    )
    layers = space.all_layers(front_end, LABELS, "stream")
    return CostTable(
        key,
        [
            CostRow(
                layer=layer,
                kind="modelled",
                latency_us=10 + layer.macs / 1e3,
                file_bytes=layer.params,
                activation_bytes=layer.frames * layer.bins * (layer.channels_in + layer.channels_out),
            )
            for layer in layers
        ],
    )


def drawn(space: SearchSpace, count: int) -> Widths:
    """Random subnets of a layer-wise space."""
    rng = np.random.default_rng(0)
    axes = [[sorted(set(place)) for place in zip(*choices, strict=True)] for choices in space.choices]
    return np.stack([np.stack([rng.choice(one, count) for one in block], axis=1) for block in axes], axis=1)


def subnet_of(widths: Widths) -> Subnet:
    """A row of candidates as a subnet."""
    return Subnet(blocks=tuple(tuple(int(width) for width in block if width) for block in widths))


def one_by_one(table: CostTable, space: SearchSpace, subnet: Subnet, front_end: FrontEndSpec) -> float:
    """Latency in ms, each layer looked up by itself."""
    return sum(table.row(layer).latency_us for layer in space.layers(subnet, front_end, LABELS, "stream")) / 1e3


if __name__ == "__main__":
    main()
