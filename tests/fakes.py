"""Stand-ins for tests: a Run folder without training, a TFLite file without a converter. No torch.

The Run's evaluations are invented: the more parameters a subnet has, the better it scores, with a small seeded wobble.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from toolkit.specs.cost import Environment, Figure, PredictedCost
from toolkit.specs.device import Budget
from toolkit.specs.files import sha256
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.pick import Pick
from toolkit.specs.recipe import Recipe
from toolkit.specs.run import NORMS, SUBNETS, WEIGHTS, LabelDecision, Run, RunManifest, SubnetResult, write_results
from toolkit.specs.space import SearchSpace

ENVIRONMENT = Environment(
    machine="aarch64",
    cpu="board",
    system="Linux",
    python="3.9.2",
    runtime="tflite",
    runtime_version="2.14.0",
    threads=2,
    core_mask="0xc",
    governor="performance",
    clock_mhz=1500.0,
    temperature_c=41.0,
    load_average=0.0,
    started_utc="2026-01-01T00:00:00Z",
)
"""Of a board that is none."""
LABELS = ("Bell", "Cough", "Dog", "Rain")


def fake_run(
    folder: Path, base_width: int = 8, labels: tuple[str, ...] = LABELS, space: str | SearchSpace = "ew-ed-22x"
) -> Path:
    """Write a whole Run to `folder` and return it: text through the specs, weights and norms as small placeholders.

    `space` is a preset at `base_width`, or any space of its own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    recipe = Recipe(name="fake", space=space if isinstance(space, str) else "ew-ed-22x", base_width=base_width)
    search_space = space if isinstance(space, SearchSpace) else recipe.search_space()
    rng = random.Random(0)
    save_file({"head.bias": np.zeros(len(labels), np.float16)}, folder / WEIGHTS)
    save_file({"stem.0/mean": np.zeros(base_width, np.float32)}, folder / NORMS)

    largest = search_space.params(search_space.largest, len(labels))
    results = []
    for subnet in search_space.subnets():
        share = search_space.params(subnet, len(labels)) / largest
        score = 0.5 + 0.4 * share**0.3 + rng.uniform(0, 0.002)
        results.append(
            SubnetResult(
                subnet=subnet.id,
                mean_average_precision=round(score, 4),
                ranges={},
                thresholds=(0.5,) * len(labels),
                event_f1=0.7,
                false_alarms_per_hour=0.5,
            )
        )
    write_results(folder / SUBNETS, results)

    decisions = tuple(
        label_decision(label, train_clips=40, validation_clips=10, average_precision=0.9) for label in labels
    )
    RunManifest(
        name="fake",
        space=search_space,
        front_end=FrontEndSpec(),
        labels=labels,
        decisions=decisions,
        recipe=recipe,
        data_hash="0" * 16,
        data_summary="none: a fake for tests",
        seconds=0.0,
        machine="none",
        toolkit_version="0",
        sha256={name: sha256(folder / name) for name in (WEIGHTS, NORMS)},
    ).save(folder / "run.json")
    return folder


def label_decision(label: str, **others: Any) -> LabelDecision:
    """A decision at 0.5 without smoothing, but for what is given; without figures."""
    plain = {
        "threshold": 0.5,
        "off_threshold": 0.4,
        "smoothing_decisions": 1,
        "calibrated": True,
        "train_clips": 1,
        "validation_clips": 1,
        "average_precision": None,
        "event_f1": None,
        "false_alarms_per_hour": None,
    }
    return LabelDecision(label=label, **(plain | others))


def fake_tflite(size: int) -> bytes:
    """A TFLite file of one operator: ReLU over a float vector of `size`."""
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools.flatbuffer_utils import convert_object_to_bytearray

    def tensor(name: str) -> Any:
        made = schema.TensorT()
        made.name, made.shape, made.type, made.buffer = name.encode(), [size], schema.TensorType.FLOAT32, 0
        return made

    code, operator, graph, model = schema.OperatorCodeT(), schema.OperatorT(), schema.SubGraphT(), schema.ModelT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.RELU
    code.version = 1
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0], [1]
    graph.tensors, graph.inputs, graph.outputs, graph.operators = [tensor("x"), tensor("y")], [0], [1], [operator]
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], [schema.BufferT()]
    return bytes(convert_object_to_bytearray(model))


def pick_of(run: Run, subnet: str, *, minute: int = 0, run_hash: str = "") -> Pick:
    """A search's answer for the device `board`, invented but for subnet and Run."""
    figure = Figure(value=1.0, kind="modelled")
    return Pick(
        device="board",
        subnet=subnet,
        run_name=run.manifest.name,
        run_hash=run_hash or run.hash,
        table_hash="0" * 16,
        runtime="tflite",
        precision="int8",
        mode="clip",
        budget=Budget(max_core_share=0.5),
        predicted=PredictedCost(latency_ms=figure, core_share=None, memory_mb=figure, file_mb=figure, params=1, macs=1),
        mean_average_precision=0.5,
        method="exhaustive",
        seed=0,
        candidates=1,
        created_utc=f"2026-01-01T00:{minute:02}:00+00:00",
    )
