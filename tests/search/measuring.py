"""A board on which a search's pick is measured, whose every layer costs what a test says. No converter, no runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import toolkit
from tests.profile.boards import Board, peak, start, visit
from toolkit.specs.bundle import GOLDEN, LABELS, MANIFEST, BundleFile, BundleManifest, bundle_folder
from toolkit.specs.files import sha256
from toolkit.specs.layer import Layer, Mode
from toolkit.specs.pack import PACK, LayerPack, PackedFile, PackedLayer, PackedSubnet
from toolkit.specs.run import Run, RunManifest
from toolkit.specs.runtime import Precision, Runtime
from toolkit.specs.space import Subnet
from toolkit.targets import Peak, Start, Visit

CALL_US = 4.0
BASE_BYTES, FILE_BYTES = 1_000_000, 500_000
"""Of the board's process without a model, and what any file takes besides."""
MODEL = "stream.int8.tflite"
OVERHEAD = "overhead.tflite"


class SlowBoard(Board):
    """It runs files by what they are of: layers by their cost, networks by the sum of theirs, each with a call.

    Args:
        run: whose subnets' bundles and layers it knows.
        cost_us: of a layer.
        environment: of its agent, by the names of `Environment`'s fields.
    """

    def __init__(self, run: Run, cost_us: Callable[[Layer], float], **environment: object) -> None:
        super().__init__(self._answer)
        self.run_manifest, self._environment = run.manifest, environment
        self.cost_us = cost_us
        self.fault: Exception | None = None
        """Raised in place of the answer to a plan with more than two visits, behind the first two."""
        self._paths: dict[str, Path] = {}

    def bring(self, files: Mapping[str, Path]) -> None:
        """Keep where files came from, and the plan."""
        self._paths.update(files)
        super().bring(files)

    def _answer(self, settings: dict[str, str], files: list[str]) -> Iterator[Start | Visit | Peak]:
        yield start(**{"threads": int(settings["threads"]), **self._environment})
        for number, file in enumerate(files):
            if number == 2 and self.fault:
                raise self.fault
            value = self.latency_us(file)
            yield visit(file, 0.99 * value, value, 1.01 * value)
        if name := settings.get("peak"):
            yield peak(name, BASE_BYTES + FILE_BYTES)

    def latency_us(self, file: str) -> float:
        """What the file takes."""
        return CALL_US + sum(map(self.cost_us, self._layers(file)))

    def _layers(self, file: str) -> Sequence[Layer]:
        run = self.run_manifest
        if file == OVERHEAD:
            return ()
        if file.endswith(MODEL):
            subnet = self._paths[file].read_text()
        elif file.startswith("whole-"):
            subnet = file.removeprefix("whole-").removesuffix(".tflite")
        else:
            name = file.removesuffix(".tflite")
            return [
                each for each in run.space.all_layers(run.front_end, len(run.labels), "stream") if each.name == name
            ]
        return run.space.layers(run.space.parse(subnet), run.front_end, len(run.labels), "stream")


def write_bundles(run: Run, out: Path) -> None:
    """Bundles of all subnets, as `search --measure` would export them for the board; their models are no models."""
    manifest = run.manifest
    for subnet in manifest.space.subnets():
        folder = bundle_folder(out, run, subnet.id, "board")
        folder.mkdir(parents=True)
        (folder / MODEL).write_text(subnet.id)
        (folder / LABELS).write_text("".join(f"{label}\n" for label in manifest.labels))
        (folder / GOLDEN).write_text("")
        file = BundleFile(
            name=MODEL,
            runtime="tflite",
            precision="int8",
            mode="stream",
            inputs=(),
            outputs=(),
            size_bytes=1,
            sha256=sha256(folder / MODEL),
        )
        BundleManifest(
            name=folder.name,
            subnet=subnet.id,
            run_name=manifest.name,
            run_hash=run.hash,
            pick=None,
            labels=manifest.labels,
            decisions=manifest.decisions,
            front_end=manifest.front_end,
            front_end_fingerprint=manifest.front_end.fingerprint,
            window_samples=1,
            hop_samples=1,
            files=(file,),
            other_sha256={name: sha256(folder / name) for name in (LABELS, GOLDEN)},
            toolkit_version=toolkit.__version__,
        ).save(folder / MANIFEST)


def write_pack(
    run: RunManifest,
    layers: Sequence[Layer],
    runtime: Runtime,
    precision: Precision,
    mode: Mode,
    folder: Path,
    _report: object,
    wholes: Sequence[Subnet] = (),
) -> Path:
    """In place of `ensure_pack`: the same pack of files that are no models."""
    folder.mkdir(parents=True, exist_ok=True)

    def kept(name: str) -> PackedFile:
        (folder / name).write_text(name)
        return PackedFile(file=name, sha256=sha256(folder / name))

    LayerPack(
        runtime=runtime,
        precision=precision,
        mode=mode,
        space=run.space,
        front_end=run.front_end,
        label_count=len(run.labels),
        made_with={},
        overhead=kept(OVERHEAD),
        layers=tuple(PackedLayer(layer=layer, **kept(f"{layer.name}.tflite").model_dump()) for layer in layers),
        wholes=tuple(
            PackedSubnet(subnet=subnet.id, **kept(f"whole-{subnet.id}.tflite").model_dump()) for subnet in wholes
        ),
    ).save(folder / PACK)
    return folder
