"""The real recordings: all of the validation split decodes, and its labels are those of the manifest."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from toolkit.audio.clips import decode_all
from toolkit.audio.dataset import MANIFEST, load_dataset

pytestmark = pytest.mark.recordings


def test_validation_split_decodes(recordings: Path) -> None:
    """No clip of the validation split is broken, and each has the length that the manifest states."""
    clips = load_dataset(recordings).subset(split="validation").clips
    decoded = decode_all(clips, 32_000)
    assert decoded.broken == []
    with (recordings / MANIFEST).open(encoding="utf-8") as file:
        stated_s = {row["file"]: float(row["duration_s"]) for row in csv.DictReader(file)}
    lengths_s = [len(each.waveform) / 32_000 for each in decoded.clips]
    np.testing.assert_allclose(lengths_s, [stated_s[clip.name] for clip in clips], atol=2e-3)


def test_labels_are_those_of_the_manifest(recordings: Path) -> None:
    """Clips carry the labels, split, group and tier of their rows, and no group stands in two splits."""
    dataset = load_dataset(recordings)
    assert dataset.missing == ()
    with (recordings / MANIFEST).open(encoding="utf-8") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert len(rows) == len(dataset.clips)
    for clip in dataset.clips:
        row = rows[clip.name]
        assert ";".join(clip.labels) == ";".join(sorted(filter(None, row["labels"].split(";"))))
        assert (clip.split, clip.group, clip.tier) == (row["split"], row["group"], row["tier"])
