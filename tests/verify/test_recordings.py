"""On real recordings, int8 files made from the default Run alone keep the bars, in TFLite and in ExecuTorch."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.tiny_bundle import export_verb
from toolkit.verify.__main__ import main

pytestmark = pytest.mark.recordings


def test_int8_streams_without_data_keep_the_bars(recordings: Path, tmp_path: Path) -> None:
    """The default Run's smallest subnet, rounded by the Run's own ranges: at most 1.0 point of mAP is lost, and events
    are judged before and after.
    """
    wanted = ("--subnet", "smallest", "--mode", "stream", "--runtime", "tflite", "--runtime", "executorch")
    assert export_verb(*wanted, "--out", tmp_path).exit_code == 0
    bundle = tmp_path / "bundles" / "default-smallest"
    arguments = ["--bundle", str(bundle), "--data", str(recordings), "--split", "validation"]
    done = CliRunner().invoke(main, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    files = {file["name"]: file for file in json.loads(done.stdout)["files"]}
    assert set(files) == {"stream.int8.tflite", "stream.int8.pte"}
    for file in files.values():
        labelled, listening = file["labelled"], file["listening"]
        assert labelled["clips"] > 300
        assert 100 * (labelled["pytorch"] - labelled["file"]) <= 1.0
        assert listening["events"] > 50
        assert listening["pytorch"]["f1"] > 0
        assert listening["file"]["f1"] > 0
