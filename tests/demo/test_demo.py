"""The demo, as far as it goes without a device's minute: the whole chain is the suite `make demo`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from toolkit.demo import chain
from toolkit.specs.run import Run


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the demo as a person would."""
    return subprocess.run(
        [sys.executable, "-m", "toolkit.demo", *arguments], capture_output=True, text=True, check=False
    )


def test_a_wrong_recording_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    """One line, exit 2, and nothing was written."""
    (tmp_path / "no sound.wav").write_bytes(b"RIFF, or so it says")
    done = demo("--audio", str(tmp_path / "no sound.wav"), "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "no sound.wav" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_scene_is_said_to_be_synthesized(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a recording the demo writes a scene, says that nothing in it was recorded, and what it holds."""
    typed: list[str] = []

    def stop(line: str) -> str:
        typed.append(line)
        raise KeyboardInterrupt

    monkeypatch.setattr(chain, "_type", stop)
    with pytest.raises(KeyboardInterrupt):
        chain.run_chain(None, tmp_path / "o u t")
    said = capsys.readouterr().out
    assert "no sound in it was recorded" in said
    assert "Alarm" in said
    assert "Siren" in said
    info = soundfile.info(tmp_path / "o u t" / "demo-scene.wav")
    assert info.samplerate == Run.open().manifest.front_end.sample_rate_hz
    assert info.duration > 10
    assert typed == [
        f"profile --device host --target local --mode stream --precision int8 --quick --out '{tmp_path}/o u t'"
    ]


def test_a_verb_that_fails_ends_the_demo_with_its_exit_code() -> None:
    """The demo stops where a verb stopped."""
    with pytest.raises(SystemExit) as stopped:
        chain._type("search --device no-such-device")
    assert stopped.value.code == 2
