"""`Microphone` on the real PortAudio library and ALSA, with a sound card that ALSA makes of a file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.system

RATE_HZ = 32_000
SOUND_CARD = """
pcm.!default {{
    type file
    slave.pcm {{ type null }}
    file "/dev/null"
    infile "{recording}"
    format "raw"
}}
"""
NO_SOUND_CARD = "pcm.absent { type hw card 31 }"
RECORD = """
import sys
import numpy as np
from toolkit.listen.microphone import Microphone
microphone = Microphone(int(sys.argv[1]))
heard = 0
for block in microphone:
    sys.stdout.buffer.write(np.ascontiguousarray(block, dtype="<f4").tobytes())
    heard += len(block)
    if heard >= int(sys.argv[1]):
        microphone.stop()
"""


def record(card: str, folder: Path) -> subprocess.CompletedProcess[bytes]:
    """Record a second in a process whose only sound card is the one described."""
    config = folder / "asound.conf"
    config.write_text(card)
    return subprocess.run(
        [sys.executable, "-c", RECORD, str(RATE_HZ)],
        env={**os.environ, "ALSA_CONFIG_PATH": str(config), "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        check=False,
        timeout=60,
    )


def test_microphone_hears_what_the_sound_card_records(tmp_path: Path) -> None:
    """The first second from the sound card arrives sample for sample."""
    played = np.random.default_rng(0).uniform(-1, 1, 4 * RATE_HZ).astype("<f4")
    played.tofile(tmp_path / "recording.raw")
    done = record(SOUND_CARD.format(recording=tmp_path / "recording.raw"), tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    heard = np.frombuffer(done.stdout, "<f4")
    assert len(heard) >= RATE_HZ
    np.testing.assert_array_equal(heard[:RATE_HZ], played[:RATE_HZ])


def test_machine_without_a_sound_card_is_told_so(tmp_path: Path) -> None:
    """Where ALSA knows no card, the error says that no microphone was found and what to do instead."""
    done = record(NO_SOUND_CARD, tmp_path)
    assert b"UserError: no microphone was found" in done.stderr
    assert b"--wav" in done.stderr
