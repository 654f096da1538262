"""The verb as people type it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

from tests.fakes_bundle import RATE_HZ, fake_bundle
from tests.listen.test_microphone import Card
from toolkit.listen.__main__ import main


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with a clip file."""
    return fake_bundle(tmp_path_factory.mktemp("bundles") / "clip")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Four seconds at 44.1 kHz in stereo, loud from 1 s to 2 s."""
    samples = np.zeros((4 * 44_100, 2), np.float32)
    samples[44_100 : 2 * 44_100] = np.sin(np.arange(44_100) * 0.1)[:, None] * 0.9
    path = tmp_path / "bang.wav"
    soundfile.write(path, samples, 44_100)
    return path


def run_verb(*arguments: str | Path) -> Result:
    """Call the verb in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_a_file_is_heard(bundle: Path, recording: Path) -> None:
    """Events are printed in order with start, end and confidence, and below them what listening cost, measured."""
    result = run_verb("--bundle", bundle, "--wav", recording)
    assert result.exit_code == 0, result.output
    events = [line.split() for line in result.stdout.splitlines() if line.endswith(("Loud", "Quiet"))]
    assert [words[-1] for words in events] == ["Quiet", "Loud", "Quiet"]
    assert float(events[1][0]) == pytest.approx(1.0, abs=0.101)
    assert float(events[1][2]) == pytest.approx(2.0, abs=0.101)
    assert "of one core (measured here)" in result.stdout


def test_a_file_is_heard_as_json(bundle: Path, recording: Path) -> None:
    """`--json` prints one document with the same events, the time heard and the measured cost."""
    document = json.loads(run_verb("--bundle", bundle, "--wav", recording, "--json").stdout)
    (loud,) = [event for event in document["events"] if event["label"] == "Loud"]
    assert loud["end_s"] - loud["start_s"] == pytest.approx(1.0, abs=0.101)
    assert document["heard_s"] == pytest.approx(4.0, abs=0.001)
    assert document["cost"]["kind"] == "measured"
    assert document["hop_s"] == 0.1


def test_labels_that_are_not_calibrated_are_marked(recording: Path, tmp_path: Path) -> None:
    """They are named before anything is heard, and each of their events says so in the document."""
    folder = fake_bundle(tmp_path / "guessed", uncalibrated=("Loud",))
    plain, document = (run_verb("--bundle", folder, "--wav", recording, *option) for option in ((), ("--json",)))
    for result in (plain, document):
        assert result.stderr.startswith("not calibrated, default thresholds decide: Loud\n")
    events = json.loads(document.stdout)["events"]
    assert {(event["label"], event["calibrated"]) for event in events} == {("Loud", False), ("Quiet", True)}
    own = run_verb("--bundle", folder, "--wav", recording, "--threshold", "0.4")
    assert "default" not in own.stderr


def test_calibrated_labels_need_no_word(bundle: Path, recording: Path) -> None:
    """Where every threshold was fitted, nothing is said of it, and the document marks every event."""
    result = run_verb("--bundle", bundle, "--wav", recording, "--json")
    assert "calibrated" not in result.stderr
    assert all(event["calibrated"] for event in json.loads(result.stdout)["events"])


def test_no_events_is_said(bundle: Path, tmp_path: Path) -> None:
    """Where nothing reaches its threshold the verb says so and succeeds."""
    path = tmp_path / "undecided.wav"
    soundfile.write(path, np.full(RATE_HZ, 0.5), RATE_HZ)
    result = run_verb("--bundle", bundle, "--wav", path, "--threshold", "0.75")
    assert result.exit_code == 0
    assert "no events" in result.stdout


def test_the_microphone_is_heard_until_it_stops(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--mic` prints what it hears and ends on an interrupt with the events and the cost."""
    signal = np.zeros(3 * RATE_HZ, np.float32)
    signal[RATE_HZ : 2 * RATE_HZ] = 0.9

    class StoppingCard(Card):
        def __enter__(self) -> None:
            super().__enter__()
            import signal as signals

            signals.raise_signal(signals.SIGINT)

    StoppingCard((RATE_HZ,), signal).install(monkeypatch)
    result = run_verb("--bundle", bundle, "--mic")
    assert result.exit_code == 0, result.output
    assert "Ctrl-C" in result.stderr
    assert "1.10 s  Loud ..." in result.stderr
    assert [line.split()[-1] for line in result.stdout.splitlines() if " - " in line] == ["Quiet", "Loud", "Quiet"]


def test_a_microphone_that_goes_away_keeps_what_it_heard(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The events and the cost are printed as ever; then one line says what happened, and the exit code is 4."""
    signal = np.zeros(3 * RATE_HZ, np.float32)
    signal[RATE_HZ:] = 0.9
    Card((RATE_HZ,), signal, late=(3,), goes=True).install(monkeypatch)
    result = run_verb("--bundle", bundle, "--mic", "--json")
    assert result.exit_code == 4, result.output
    document = json.loads(result.stdout)
    assert [event["label"] for event in document["events"]] == ["Quiet", "Loud"]
    assert document["overflows"] == 1
    assert result.stderr.splitlines()[-1].startswith("error: the microphone stopped")


def test_sound_that_the_card_lost_is_told(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sound library tells how often, not how much."""
    Card((RATE_HZ,), np.zeros(RATE_HZ, np.float32), late=(3, 5), goes=True).install(monkeypatch)
    assert "sound was lost 2 times" in run_verb("--bundle", bundle, "--mic").stderr


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--wav", "nowhere.wav", "--mic"),
        ("--wav", "nowhere.wav"),
        ("--wav", __file__),
        ("--wav", "{recording}", "--threshold", "nan"),
        ("--wav", "{recording}", "--threshold", "1.5"),
        ("--wav", "{recording}", "--threshold", "0"),
        ("--wav", "{recording}", "--precision", "fp32"),
        ("--wav", "{recording}", "--bundle", "nowhere"),
    ],
)
def test_bad_input_exits_2(bundle: Path, recording: Path, arguments: tuple[str, ...]) -> None:
    """Wrong or missing input: exit code 2 and no traceback."""
    given = [argument.format(recording=recording) for argument in arguments]
    result = run_verb("--bundle", bundle, *given)
    assert result.exit_code == 2, result.output
    assert "rror: " in result.stderr
    assert "Traceback" not in result.output


def test_no_framework_is_loaded(bundle: Path, recording: Path) -> None:
    """Listening needs a TFLite runtime and no training framework: a board has none."""
    script = (
        "import sys; from toolkit.listen.__main__ import main; main(sys.argv[1:], standalone_mode=False);"
        "print('loaded', {'torch', 'scipy', 'litert_torch', 'sklearn', 'tensorflow'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", script, "--bundle", str(bundle), "--wav", str(recording)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("loaded set()\n")
    assert "INFO" not in done.stderr
