"""`LayerPack`: the folder of runtime files of every layer of a space, made on the host and run on a device.

    pack.json           this record
    000-front_end-...   a file a layer
    overhead...         what a runtime needs to do nearly nothing
    whole-25.25-...     a few whole networks

It holds all that a table is keyed by and that a device does not know, so that a board needs no Run and no framework.
Not how it is made: that is `toolkit.profile.pack`. Proved by tests/profile/test_pack.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from toolkit.specs.errors import UserError
from toolkit.specs.files import sha256
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.layer import Layer, Mode
from toolkit.specs.record import Part, Record
from toolkit.specs.runtime import Precision, Runtime
from toolkit.specs.space import SearchSpace

PACK = "pack.json"
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class PackedFile(Part):
    """A file of the pack."""

    file: FileName
    sha256: str


class PackedLayer(PackedFile):
    """One layer and its file."""

    layer: Layer


class PackedSubnet(PackedFile):
    """A whole network and its file."""

    subnet: str
    """Its id."""


class LayerPack(Record):
    """Which file is which layer's, what the layers are of, and what they were made with."""

    # 2: holds space, front end and label count instead of a fingerprint; has a file of the runtime's overhead.
    SCHEMA: ClassVar[int] = 2

    schema_version: int = 2
    runtime: Runtime
    precision: Precision
    mode: Mode
    space: SearchSpace
    front_end: FrontEndSpec
    label_count: int = Field(ge=1)
    made_with: dict[str, str]
    """Versions of the libraries, and a digest of the toolkit's own sources behind the files."""
    overhead: PackedFile
    """One number times another: what starting an inference costs, which each layer's file pays and a network once."""
    layers: tuple[PackedLayer, ...] = Field(min_length=1)
    wholes: tuple[PackedSubnet, ...] = ()
    """A few subnets, which tell what a layer costs more in a network, where others have used the caches, than alone."""

    @property
    def files(self) -> tuple[PackedFile, ...]:
        """All files, the overhead's first."""
        return (self.overhead, *self.layers, *self.wholes)


def open_pack(folder: Path) -> LayerPack:
    """Read a pack and check every file against it.

    Raises:
        UserError: no pack there, a file is missing or damaged, or a layer is none of its space's.
        MismatchError: it was made by another version of the toolkit.
    """
    if not (folder / PACK).is_file():
        raise UserError(
            f"{folder} holds no layer pack ({PACK} is missing). Name a folder that --make-pack wrote, or profile "
            "without --pack."
        )
    pack = LayerPack.load(folder / PACK)
    for packed in pack.files:
        path = folder / packed.file
        if not path.is_file() or sha256(path) != packed.sha256:
            raise UserError(f"{path} is missing or damaged. Delete {folder} and make the pack again.")
    expected = set(pack.space.all_layers(pack.front_end, pack.label_count, pack.mode))
    if strange := [packed.layer.name for packed in pack.layers if packed.layer not in expected]:
        raise UserError(
            f"{folder} holds {strange[0]}, which is no layer of its space {pack.space.name}. Delete it and make the "
            "pack again."
        )
    return pack
