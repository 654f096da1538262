"""`BundleManifest`: what a bundle folder holds and how to use it; `listen` and the Android app read nothing else.

    manifest.json         this record
    labels.txt            a label a line, each ended by a line feed
    *.tflite, *.pte, *.onnx, *.mlpackage.zip        model files
    golden.safetensors    input and expected output of each file
    certificate.json      what `verify` measured (`Certificate`)

Proved by tests/specs/test_bundle.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.files import sha256
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.layer import Mode
from toolkit.specs.pick import Pick
from toolkit.specs.record import Part, Record, read_text
from toolkit.specs.run import Label, LabelDecision, Run
from toolkit.specs.runtime import Precision, Runtime

MANIFEST, LABELS, GOLDEN, CERTIFICATE = "manifest.json", "labels.txt", "golden.safetensors", "certificate.json"

FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""Of a file in the bundle's own folder, never elsewhere."""


class TensorSpec(Part):
    """A named input or output; float32 always."""

    name: str
    shape: tuple[int, ...]


class BundleFile(Part):
    """One model file."""

    name: FileName
    runtime: Runtime
    precision: Precision
    mode: Mode
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    size_bytes: int = Field(gt=0)
    sha256: str


class BundleManifest(Record):
    """Everything a listener needs to know."""

    name: str
    subnet: str
    run_name: str
    run_hash: str
    pick: Pick | None
    labels: tuple[Label, ...] = Field(min_length=1)
    decisions: tuple[LabelDecision, ...]
    front_end: FrontEndSpec
    front_end_fingerprint: str
    window_samples: int = Field(gt=0)
    """Samples of one `clip` inference."""
    hop_samples: int = Field(gt=0)
    """Samples between two decisions."""
    files: tuple[BundleFile, ...] = Field(min_length=1)
    other_sha256: dict[FileName, str]
    """Of labels and golden vectors."""
    qat_data_hash: str | None = None
    """Of the clips that `int8` files were fine-tuned on; none where the Run's weights were rounded."""
    toolkit_version: str

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if tuple(decision.label for decision in self.decisions) != self.labels:
            raise ValueError("decisions and labels differ")
        if self.front_end.fingerprint != self.front_end_fingerprint:
            raise ValueError(
                f"front end has fingerprint {self.front_end.fingerprint}, not {self.front_end_fingerprint} as stated"
            )
        return self

    def choose(
        self, *, mode: Mode | None = None, precision: Precision | None = None, runtime: Runtime | None = None
    ) -> BundleFile | None:
        """The file of that mode, precision and runtime, if there is one; of several the one in the pick's precision,
        else int8, else the first. The Android app chooses so too.
        """
        fitting = [
            file
            for file in self.files
            if mode in (None, file.mode) and precision in (None, file.precision) and runtime in (None, file.runtime)
        ]
        for preferred in (self.pick.precision if self.pick else None, "int8"):
            for file in fitting:
                if file.precision == preferred:
                    return file
        return fitting[0] if fitting else None

    def find(
        self, *, mode: Mode | None = None, precision: Precision | None = None, runtime: Runtime | None = None
    ) -> BundleFile:
        """The same.

        Raises:
            UserError: there is none; those that are there are listed.
        """
        if file := self.choose(mode=mode, precision=precision, runtime=runtime):
            return file
        held = ", ".join(f"{file.mode} {file.precision} {file.runtime}" for file in self.files)
        wanted = " ".join(each for each in (mode, precision, runtime) if each)
        raise UserError(f"the bundle holds no {wanted} file; it has {held}.")


def bundle_folder(out: Path, run: Run, subnet: str, device: str | None = None, *, fine_tuned: bool = False) -> Path:
    """Where export writes a bundle: one place for each device, Run folder and subnet, and one more if fine-tuned."""
    parts = (device, run.folder.resolve().name, subnet, "qat" if fine_tuned else None)
    return out / "bundles" / "-".join(part for part in parts if part)


def open_bundle(folder: Path) -> BundleManifest:
    """Read a bundle's manifest and check every file against it.

    Raises:
        UserError: no bundle there, a file is missing or damaged.
        MismatchError: written for another schema, or labels differ.
    """
    if not (folder / MANIFEST).is_file():
        raise UserError(f"{folder} holds no bundle ({MANIFEST} is missing). Make one: python -m toolkit.export")
    manifest = BundleManifest.load(folder / MANIFEST)
    expected = {file.name: file.sha256 for file in manifest.files} | manifest.other_sha256
    for name, digest in expected.items():
        path = folder / name
        if not path.is_file():
            raise UserError(f"{path} is missing: the bundle is not whole. Export it again.")
        if (found := sha256(path)) != digest:
            raise UserError(f"{path} is damaged: sha256 {found[:12]}..., expected {digest[:12]}.... Export it again.")
    if tuple(read_text(folder / LABELS).removesuffix("\n").split("\n")) != manifest.labels:
        raise MismatchError(f"{folder / LABELS} differs from the manifest's labels. Export the bundle again.")
    return manifest
