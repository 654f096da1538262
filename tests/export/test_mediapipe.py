"""The `clip` TFLite files of a bundle run in MediaPipe's own audio classifier, as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.tiny_bundle import SAMPLE_RATE_HZ, Played, export_verb, sounds
from toolkit.specs.bundle import bundle_folder, open_bundle
from toolkit.specs.run import Run

pytestmark = pytest.mark.system  # MediaPipe loads libraries of graphics, though audio uses none of them


@pytest.fixture(scope="module")
def bundle(calibrated_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a bundle with the `clip` files of all precisions that TFLite has."""
    return export_clips(calibrated_run, tmp_path_factory.mktemp("clips"))


def export_clips(run: Path, out: Path) -> Path:
    """Export the smallest subnet of a Run as such a bundle; its folder."""
    done = export_verb("--subnet", "smallest", "--run", run, "--mode", "clip", "--precision", "all", "--out", out)
    assert done.exit_code == 0, done.output
    return bundle_folder(out, Run.open(run), "smallest")


def heard(path: Path, waveform: np.ndarray) -> list[dict[str, float]]:
    """Scores by label, of each window that MediaPipe makes of a waveform [S]."""
    from mediapipe.tasks.python.audio import AudioClassifier  # type: ignore[import-untyped]
    from mediapipe.tasks.python.components.containers import AudioData  # type: ignore[import-untyped]

    with AudioClassifier.create_from_model_path(str(path)) as classifier:
        windows = classifier.classify(AudioData.create_from_array(waveform, SAMPLE_RATE_HZ))
    return [
        {category.category_name: category.score for category in window.classifications[0].categories}
        for window in windows
    ]


def test_mediapipe_scores_every_label_as_litert_does(bundle: Path) -> None:
    """Every precision, on 10 s of each sound: one window, all labels of the bundle, scores equal to 1e-5."""
    manifest = open_bundle(bundle)
    assert {file.precision for file in manifest.files} == {"fp32", "fp16", "int8", "int8-dynamic"}
    for file in manifest.files:
        played = Played(bundle / file.name)
        for name, sound in sounds(10).items():
            (scores,) = heard(bundle / file.name, sound)
            expected = dict(zip(manifest.labels, played.clip(sound), strict=True))
            assert scores == pytest.approx(expected, rel=0, abs=1e-5), f"{file.name}, {name}"


def test_two_exports_give_the_same_bytes(bundle: Path, calibrated_run: Path, tmp_path: Path) -> None:
    """Metadata and labels included."""
    again = export_clips(calibrated_run, tmp_path)
    for file in open_bundle(bundle).files:
        assert (again / file.name).read_bytes() == (bundle / file.name).read_bytes(), file.name
