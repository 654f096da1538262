"""Layout 2: a folder for each class. `Dog/1.wav` is labelled Dog, `Bark;Dog/2.wav` both, `background/3.wav` nothing.

Where the top folders are train, validation or test, those are the splits and the classes stand in them. Otherwise a
hash of the file name decides: 80 % train, 20 % validation. Proved by tests/audio/test_class_folders.py.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from toolkit.audio.clip import SPLITS, Clip, file_size, split_labels
from toolkit.audio.decode import AUDIO_SUFFIXES
from toolkit.specs.errors import UserError

BACKGROUND_FOLDER = "background"


def read_class_folders(root: Path) -> list[Clip]:
    """Clips of all class folders under `root`, deeper folders included; hidden files are left alone.

    Raises:
        UserError: there is no class folder, or one holds no audio file.
    """
    tops = _folders(root)
    splits = [top for top in tops if top.name in SPLITS]
    if splits and len(splits) < len(tops):
        strays = ", ".join(top.name for top in tops if top not in splits)
        raise UserError(
            f"{root} holds split folders beside others ({strays:.200}). "
            f"Name the splits {', '.join(SPLITS)} and put the class folders into them."
        )
    clips: list[Clip] = []
    for folder in [inner for top in splits for inner in _folders(top)] if splits else tops:
        labels = () if folder.name == BACKGROUND_FOLDER else split_labels(folder.name)
        files = sorted(file for file in folder.rglob("[!.]*") if file.suffix.lower() in AUDIO_SUFFIXES)
        if not files:
            raise UserError(
                f"class folder {folder} holds no audio file ({', '.join(AUDIO_SUFFIXES)}). Add clips or remove it."
            )
        for file in files:
            name = file.relative_to(root).as_posix()
            split = folder.parent.name if splits else split_of(file.name)
            clips.append(Clip(file, name, labels, split, group=name, size_bytes=file_size(file)))
    return clips


def split_of(file_name: str) -> str:
    """Split of a file by its name alone, the same on every machine: one in five goes to validation."""
    return "validation" if int(hashlib.sha256(file_name.encode()).hexdigest(), 16) % 5 == 0 else "train"


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
