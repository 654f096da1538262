"""`LayerPack`: the folder of runtime files of every layer of a space, made on the host and run on a device.

    pack.json     this record
    *.tflite      a file a layer

Not how it is made: that is `toolkit.profile.pack`. Proved by tests/profile/test_pack.py.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from toolkit.specs.errors import UserError
from toolkit.specs.files import sha256
from toolkit.specs.layer import Layer, Mode
from toolkit.specs.record import Part, Record
from toolkit.specs.runtime import Precision, Runtime

PACK = "pack.json"


class PackedLayer(Part):
    """One layer and its file."""

    layer: Layer
    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    sha256: str


class LayerPack(Record):
    """Which file is which layer's, and what they were made with."""

    runtime: Runtime
    precision: Precision
    mode: Mode
    front_end: str
    """Fingerprint of the front end."""
    made_with: dict[str, str]
    """Versions of the libraries, and a digest of the toolkit's own sources behind the files."""
    layers: tuple[PackedLayer, ...] = Field(min_length=1)


def open_pack(folder: Path) -> LayerPack:
    """Read a pack and check every file against it.

    Raises:
        UserError: no pack there, or a file is missing or damaged.
    """
    if not (folder / PACK).is_file():
        raise UserError(f"{folder} holds no layer pack ({PACK} is missing). Delete it and profile again.")
    pack = LayerPack.load(folder / PACK)
    for packed in pack.layers:
        path = folder / packed.file
        if not path.is_file() or sha256(path) != packed.sha256:
            raise UserError(f"{path} is missing or damaged. Delete {folder} and profile again.")
    return pack
