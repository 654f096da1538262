"""Cost tables for search's tests, invented from each layer's counts."""

from __future__ import annotations

from pathlib import Path

from tests import fakes
from toolkit.specs.cost import CostKey, CostRow, CostTable, Kind, Measurement
from toolkit.specs.layer import Layer, Mode
from toolkit.specs.run import Run
from toolkit.specs.runtime import Precision

ENVIRONMENT = fakes.ENVIRONMENT.model_copy(
    update={"cpu": "none", "runtime_version": "1", "threads": 1, "core_mask": "0x1"}
)


def invented_row(layer: Layer, kind: Kind = "modelled") -> CostRow:
    """10 us and a microsecond for each 1,000 MACs; a byte a parameter; four bytes for each number in and out."""
    latency_us = 10 + layer.macs / 1000
    measured = Measurement(latencies_us=(latency_us,), warmups_us=(), environment=ENVIRONMENT)
    return CostRow(
        layer=layer,
        kind=kind,
        latency_us=latency_us,
        file_bytes=layer.params,
        activation_bytes=4 * layer.frames * layer.bins * (layer.channels_in + layer.channels_out),
        measurement=measured if kind == "measured" else None,
    )


def invented_table(
    run: Run,
    mode: Mode = "stream",
    kind: Kind = "modelled",
    *,
    device: str = "rpi4",
    precision: Precision = "int8",
    label_count: int | None = None,
    runtime_base_bytes: int = 0,
) -> CostTable:
    """A row for each layer of the Run's space, all known alike."""
    manifest = run.manifest
    labels = label_count or len(manifest.labels)
    key = CostKey(
        device=device,
        runtime="tflite",
        runtime_version="1",
        precision=precision,
        threads=1,
        core_mask="0x1",
        mode=mode,
        space=manifest.space,
        front_end=manifest.front_end.fingerprint,
        label_count=labels,
        runtime_base_bytes=runtime_base_bytes,
    )
    layers = manifest.space.all_layers(manifest.front_end, labels, mode)
    return CostTable(key, [invented_row(layer, kind) for layer in layers])


def save_table(table: CostTable, folder: Path) -> Path:
    """Write a table under the name that `profile` gives it."""
    path = folder / table.key.file_name
    table.save(path)
    return path


PROFILE = """
schema_version = 1
name = "{name}"
title = "A board"
soc = "X1"
clusters = [{{ core = "Cortex-A72", count = 4, clock_ghz = 1.5, mask = "0xf", l1d_kb = 32, l2_kb = 1024 }}]
ram_mb = 4096
runtimes = [{{ runtime = "tflite", version = "2.14" }}]
budget = {{ {budget} }}
sources = {{ soc = "invented", clusters = "invented", ram_mb = "invented", runtimes = "invented", budget = "invented" }}
"""


def write_profile(folder: Path, name: str = "board", budget: str = "max_core_share = 0.5") -> Path:
    """A device profile of one's own in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.toml"
    path.write_text(PROFILE.format(name=name, budget=budget))
    return path
