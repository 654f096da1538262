"""Teachers of the training loop: from a batch to probabilities, of our own network or of any other.

    NetworkTeacher   hears every clean crop anew, as it must where crops are cut and mixed at each step
    ClipTeacher      remembers what a teacher said of each clip, once; a mixed crop holds what its clips hold

Axis letters: B batch, N clips, T frames, F mel bins, L labels, C the teacher's classes.
Proved by tests/train/test_teachers.py.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from toolkit.audio.clips import decode_all
from toolkit.specs.errors import UserError
from toolkit.specs.files import sha256
from toolkit.specs.recipe import Recipe
from toolkit.specs.space import Subnet
from toolkit.specs.teacher import TeacherSpec
from toolkit.supernet.norms import StoredNorms
from toolkit.supernet.supernet import Supernet
from toolkit.train.batches import Batch
from toolkit.train.examples import Examples, Progress
from toolkit.train.teacher_cache import Score, cached_scores
from toolkit.train.teacher_scores import FunctionScores, ScoreClip, TFLiteScores, near_miss, read_classes, read_table

NETWORK_CROPS = 32
"""Crops that our own network hears at once: more of them are no faster, and take memory."""
DECODED_CLIPS = 64
Floats = NDArray[np.float32]
_log = logging.getLogger(__name__)


class Teacher(Protocol):
    """What the loop asks for soft labels."""

    def __call__(self, batch: Batch) -> Tensor:
        """Probabilities [B, L] of the clean crops of a batch."""
        ...


class NetworkTeacher:
    """A subnet of a trained network of ours; runs where its weights and norms lie."""

    def __init__(self, net: Supernet, subnet: Subnet, norms: StoredNorms) -> None:
        self._net, self._subnet, self._norms = net.eval(), subnet, norms

    def __call__(self, batch: Batch) -> Tensor:
        """Probabilities [B, L] of the clean crops of a batch."""
        return self.probabilities(torch.from_numpy(batch.clean))

    def probabilities(self, log_mel: Tensor) -> Tensor:
        """Probabilities [B, L] of log-mel frames [B, 1, T, F] in dB."""
        device = self._net.input_norm_weight.device
        with torch.no_grad():
            parts = [
                self._net(some.to(device), self._subnet, self._norms).float() for some in log_mel.split(NETWORK_CROPS)
            ]
        return torch.sigmoid(torch.cat(parts))

    def digest(self) -> str:
        """Identifies the weights, norms and subnet."""
        found = hashlib.sha256(self._subnet.id.encode())
        moments = {f"{path} {n}": part for path, pair in self._norms.moments.items() for n, part in enumerate(pair)}
        for name, tensor in sorted({**self._net.state_dict(), **moments}.items()):
            found.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
        return found.hexdigest()[:16]


class ClipTeacher:
    """Knows each training clip by name.

    A mixed crop holds an event where any of its clips does: 1 - (1 - p)(1 - q), as for independent events. How loud
    a clip is in the mix, and which part of it is heard, goes unseen, as it does in hard labels.

    Args:
        examples: the training clips; where there is no score their hard labels stand.
        scores: probabilities [L] by clip name, NaN for none.
    """

    def __init__(self, examples: Examples, scores: Mapping[str, Floats]) -> None:
        self._probabilities = examples.targets(examples.train)
        self._row = {example.name: row for row, example in enumerate(examples.train)}
        for name, found in scores.items():
            own = self._probabilities[self._row[name]]
            own[:] = np.where(np.isnan(found), own, found)

    def __call__(self, batch: Batch) -> Tensor:
        """Probabilities [B, L] of the clips that are mixed in each crop; a clip mixed with itself counts once."""
        rows = [[self._row[name] for name in dict.fromkeys(names)] for names in batch.parts]
        absent = [np.prod(1 - self._probabilities[parts], axis=0) for parts in rows]
        return torch.from_numpy((1 - np.stack(absent)).astype(np.float32))


def make_teacher(
    spec: TeacherSpec, examples: Examples, recipe: Recipe, cache_folder: Path, on_progress: Progress
) -> ClipTeacher:
    """The teacher that a recipe names, unless it is a stage of the recipe: scores the clips that it has not heard yet.

    Raises:
        UserError: a file, function, class or label is not there, or gives no probabilities.
        MismatchError: the teacher's classes are not those that it is said to have.
    """
    if spec.kind == "stage":
        raise ValueError("the loop makes the teacher of a stage itself")
    names = [example.name for example in examples.train if not example.generated]
    classes = read_classes(Path(spec.classes)) if spec.classes else examples.labels
    if spec.kind == "table":
        classes, table = read_table(Path(spec.file), classes)
        found = {name: table[name] for name in names if name in table}
        if not found:
            told = f"{next(iter(table), 'no clip')} and so on, the data {names[0] if names else 'no clip'} and so on"
            raise UserError(f"{spec.file} has a score for none of the training clips: it names {told}.")
    else:
        classes_of_labels(spec, classes, examples.labels)  # a wrong map is told before hours of scoring
        if spec.kind == "tflite":
            heard: ScoreClip = TFLiteScores(Path(spec.file), classes)
            is_like: list[Any] = [sha256(Path(spec.file)), classes]
        else:
            heard = function = FunctionScores(spec.function, classes)
            is_like = [spec.function, function.source_hash, classes]
        if spec.takes == "frames":
            score = _frames(heard, examples)
            is_like.append(recipe.front_end.fingerprint)
        else:
            score = _waveforms(heard, examples, spec.sample_rate_hz)
            is_like.append(spec.sample_rate_hz)
        folder = _folder(cache_folder, _digest(is_like), examples)
        found = dict(zip(names, cached_scores(folder, names, score, on_progress), strict=True))
    meant = classes_of_labels(spec, classes, examples.labels)
    if silent := [label for label in examples.labels if label not in meant]:
        _log.warning("the teacher does not know, hard labels are used for: %s", ", ".join(silent))
    if len(found) < len(names):
        _log.warning("the teacher has no score for %d of %d clips: hard labels", len(names) - len(found), len(names))
    columns = [list(map(classes.index, meant.get(label, ()))) for label in examples.labels]
    return ClipTeacher(examples, {name: of_labels(row, columns) for name, row in found.items()})


def classes_of_labels(spec: TeacherSpec, classes: Sequence[str], labels: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """For each trained label that the teacher knows, its classes.

    A map may hold labels that are not trained here, so that one map serves many recipes; but not misspelt ones.

    Raises:
        UserError: the map names a class that the teacher has not, or a label that is nearly a trained one; or there is
            no label that the teacher knows.
    """
    label_map = spec.label_map or {label: (label,) for label in labels if label in classes}
    wrong = [near_miss(name, classes) for names in label_map.values() for name in names if name not in classes]
    if wrong:
        raise UserError(f"the teacher has no class {', '.join(dict.fromkeys(wrong)):.300}. Mend teacher.label_map.")
    unmapped = [label for label in labels if label not in label_map]
    misspelt = [told for name in label_map if name not in labels and "?" in (told := near_miss(name, unmapped))]
    if misspelt:
        raise UserError(f"not among the trained labels: {', '.join(misspelt):.300}. Mend teacher.label_map.")
    meant = {label: label_map[label] for label in labels if label in label_map}
    if not meant:
        raise UserError(
            f"the teacher knows none of the trained labels ({', '.join(labels):.200}): say in teacher.label_map which "
            f"of its classes mean them ({', '.join(classes):.100} and so on)."
        )
    return meant


def of_labels(scores: NDArray[np.floating[Any]], columns: Sequence[Sequence[int]]) -> Floats:
    """Probabilities [L] from those of the teacher's classes [C]: the greatest of each label's columns, NaN for none."""
    wide = scores.astype(np.float32)
    return np.array([np.fmax.reduce(wide[list(own)]) if own else np.nan for own in columns], dtype=np.float32)


def is_augmentation_free(recipe: Recipe, examples: Examples) -> bool:
    """Whether a clip's clean crop is the same at each step: whole, alone and unchanged, as in the paper's method.

    Masks (SpecAugment) and mixup do not count: the teacher does not hear them. A clip shorter than a crop does, because
    it is put at a random place: that alone moves single probabilities of a trained network by 0.1 or more.
    """
    how = recipe.augmentation
    mixed = how.mix_probability or how.background_probability
    changed = how.silence_probability or how.band_limit_probability or how.noise_floor_probability
    whole = all(len(example.log_mel) == recipe.crop_frames for example in examples.train)
    return whole and not mixed and not changed and how.level_db == (0.0, 0.0)


def cached_by_clip(
    network: NetworkTeacher, examples: Examples, recipe: Recipe, cache_folder: Path, on_progress: Progress
) -> ClipTeacher:
    """What our own network says of every training clip, generated ones too; for an augmentation-free training.

    Raises:
        UserError: the cache is damaged or cannot be written.
    """
    by_name = {example.name: example for example in examples.train}

    def score(names: Sequence[str]) -> Iterator[Floats]:
        for start in range(0, len(names), NETWORK_CROPS):
            some = np.stack([by_name[name].log_mel for name in names[start : start + NETWORK_CROPS]])
            yield from network.probabilities(torch.from_numpy(some.astype(np.float32))[:, None]).cpu().numpy()

    digest = _digest([network.digest(), recipe.front_end.fingerprint])
    folder = _folder(cache_folder, digest, examples)
    found = cached_scores(folder, list(by_name), score, on_progress)
    return ClipTeacher(examples, dict(zip(by_name, found.astype(np.float32), strict=True)))


def _waveforms(heard: ScoreClip, examples: Examples, sample_rate_hz: int) -> Score:
    clips = {clip.name: clip for clip in examples.clips}

    def score(names: Sequence[str]) -> Iterator[Floats]:
        for start in range(0, len(names), DECODED_CLIPS):
            decoded = decode_all([clips[name] for name in names[start : start + DECODED_CLIPS]], sample_rate_hz)
            if decoded.broken:
                raise UserError(f"a clip that decoded before does not any more: {decoded.broken[0].reason}")
            for item in decoded.clips:
                yield heard(item.clip.name, item.waveform)

    return score


def _frames(heard: ScoreClip, examples: Examples) -> Score:
    by_name = {example.name: example for example in examples.train}

    def score(names: Sequence[str]) -> Iterator[Floats]:
        for name in names:
            yield heard(name, torch.from_numpy(by_name[name].log_mel.astype(np.float32))[None, None])

    return score


def _digest(is_like: object) -> str:
    return hashlib.sha256(json.dumps(is_like).encode()).hexdigest()[:16]


def _folder(cache_folder: Path, digest: str, examples: Examples) -> Path:
    return cache_folder / f"teacher-{digest}-{examples.data_hash}"
