"""Layout 2: a folder for each class. `Dog/1.wav` is labelled Dog, `Bark;Dog/2.wav` both, `background/3.wav` nothing.

Where the top folders are train, validation or test, those are the splits and the classes stand in them. Otherwise a
hash of the file names decides: of each class one in five goes to validation, of a small one up to a quarter, so that 20
files give 5; a file name is in one split everywhere. Proved by tests/audio/test_class_folders.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
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
    classes: list[tuple[Path, list[Path]]] = []
    for folder in [inner for top in splits for inner in _folders(top)] if splits else tops:
        files = sorted(file for file in folder.rglob("[!.]*") if file.suffix.lower() in AUDIO_SUFFIXES)
        if not files:
            raise UserError(
                f"class folder {folder} holds no audio file ({', '.join(AUDIO_SUFFIXES)}). Add clips or remove it."
            )
        classes.append((folder, files))
    held_out = {name for _, files in classes for name in validation_names({file.name for file in files})}
    clips: list[Clip] = []
    for folder, files in classes:
        labels = () if folder.name.lower() == BACKGROUND_FOLDER else split_labels(folder.name)
        for file in files:
            name = file.relative_to(root).as_posix()
            split = folder.parent.name if splits else "validation" if file.name in held_out else "train"
            clips.append(Clip(file, name, labels, split, group=name, size_bytes=file_size(file)))
    return clips


def validation_names(file_names: Collection[str]) -> list[str]:
    """Which files of a class go to validation: those of the least hashes, the same on every machine.

    One in five; of fewer than 25 a quarter, but no more than 5.
    """
    count = max(len(file_names) // 5, min(5, len(file_names) // 4))
    return sorted(file_names, key=lambda name: hashlib.sha256(name.encode()).digest())[:count]


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
