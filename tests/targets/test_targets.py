"""One suite over all targets: this machine, a real sshd, an aarch64 userland behind one, an adb device."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import time
import uuid
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.fakes import fake_tflite
from tests.targets.conftest import Device, until
from tests.targets.login import SMALL_KIB
from tests.targets.models import adding_tflite
from toolkit.native.build import native_agent
from toolkit.specs.errors import StableDeviceError, TransientDeviceError
from toolkit.specs.runtime import Runtime
from toolkit.targets import Peak, Plan, Play, Played, PythonAgent, Start, Visit, carry_out, open_target, run_plan

SHOW = '#!/bin/sh\nfor word in "$@"; do printf "%s|" "$word"; done\n'
WORDS = ("a b", "it's", '"', "$(touch pwned)", "`touch pwned`", "; touch pwned", "\\", "*", "-n", "", "ü")


@pytest.fixture
def unique() -> str:
    """A word that only what this test starts has among its arguments."""
    return f"mark-{uuid.uuid4().hex}"


def running(word: str) -> list[psutil.Process]:
    """Processes of this machine with that word among their arguments, but for what leads there."""
    found = []
    for process in psutil.process_iter():
        try:
            line = process.cmdline()
        except psutil.Error:
            continue
        if word in line and process.pid != os.getpid():
            found.append(process)
    return found


def left(device: Device) -> list[Path]:
    """What lies where work folders are made."""
    return list(device.parent.iterdir())


def sleeper(unique: str) -> list[str]:
    """A command that says a line, and then sleeps with a child of its own."""
    return ["sh", "-c", 'echo started; sh -c "sleep 600; :" child "$1"; :', "sleeper", unique]


def test_says_its_architecture(device: Device) -> None:
    """As `uname -m` does; the emulated one says aarch64."""
    assert device.target().machine() == device.machine


def test_files_and_words_arrive_as_they_are(device: Device, tmp_path: Path) -> None:
    """Bytes, the right to run, and any words reach a folder with a nasty name; no shell makes anything of them."""
    (tmp_path / "show").write_text(SHOW)
    (tmp_path / "show").chmod(0o755)
    (tmp_path / "data").write_bytes(bytes(range(256)) * 5000)
    with device.target().workplace() as place:
        place.bring({"show": tmp_path / "show", "data.bin": tmp_path / "data"})
        (folder,) = left(device)
        assert (folder / "data.bin").read_bytes() == (tmp_path / "data").read_bytes()
        assert "".join(place.run(["./show", *WORDS])) == "".join(f"{word}|" for word in WORDS)
    for place_of_accident in (Path.cwd(), Path.home(), folder.parent, folder):
        assert not (place_of_accident / "pwned").exists()


def test_nothing_is_left_when_a_workplace_is(device: Device, tmp_path: Path) -> None:
    """The folder is there while the workplace is, and not after, also when the block ends badly."""
    (tmp_path / "data").write_bytes(b"x")

    def fail() -> None:
        with device.target().workplace() as place:
            place.bring({"data": tmp_path / "data"})
            assert len(left(device)) == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert left(device) == []


def test_lines_come_when_they_are_said(device: Device) -> None:
    """The first line is there seconds before the second is said; what a login prints is no line."""
    with device.target().workplace() as place:
        times = [(line, time.monotonic()) for line in place.run(["sh", "-c", "echo one; sleep 2; echo two"])]
    (first, early), (second, late) = times
    assert (first, second) == ("one", "two")
    assert late - early > 1.5


def test_a_command_that_fails_is_told_in_its_own_words(device: Device) -> None:
    """The error is the target's name and the last line of stderr, whatever the exit code."""
    for code in (1, 3, 255):
        with device.target().workplace() as place, pytest.raises(StableDeviceError) as error:
            list(place.run(["sh", "-c", f"echo first >&2; echo the reason >&2; exit {code}"]))
        assert str(error.value) == f"{device.text}: the reason"


def test_a_last_line_may_lack_its_end(device: Device) -> None:
    """A reason that ends without a line's end is told like any other, and is not taken for a lost connection."""
    with device.target().workplace() as place, pytest.raises(StableDeviceError) as error:
        list(place.run(["sh", "-c", "printf 'the reason' >&2; exit 3"]))
    assert str(error.value) == f"{device.text}: the reason"


def test_a_command_that_is_killed_names_the_signal(device: Device) -> None:
    """Signal 9 is what a system without memory sends; the message says so."""
    with device.target().workplace() as place, pytest.raises(StableDeviceError, match=r"signal 9.*memory"):
        list(place.run(["sh", "-c", "kill -9 $$"]))


def test_whoever_stops_reading_has_ended_the_command(device: Device, unique: str) -> None:
    """Closing the lines ends the command and what it started, and the workplace can be used on."""
    with device.target().workplace() as place:
        lines = place.run(sleeper(unique))
        assert next(lines) == "started"
        assert running(unique)
        lines.close()
        assert until(lambda: not running(unique))
        assert list(place.run(["echo", "still here"])) == ["still here"]


def test_a_host_process_that_is_killed_leaves_nothing_on_the_device(device: Device, unique: str) -> None:
    """After kill -9 of the process that opened a workplace, command and folder are gone within seconds."""
    program = (
        "import sys\n"
        "from toolkit.targets import open_target\n"
        "with open_target(sys.argv[1]).workplace() as place:\n"
        "    for line in place.run(sys.argv[2:]):\n"
        "        print(line, flush=True)\n"
    )
    host = subprocess.Popen(
        [sys.executable, "-c", program, device.text, *sleeper(unique)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    with host:
        assert host.stdout
        assert host.stdout.readline() == "started\n"
        assert left(device)
        host.send_signal(signal.SIGKILL)
    assert until(lambda: not running(unique))
    assert until(lambda: left(device) == [])


def test_what_agents_start_elsewhere_is_ended_by_their_own_script(device: Device, tmp_path: Path, unique: str) -> None:
    """`leave.sh` runs in the folder before that goes, also when the host process is killed."""
    trace = device.parent.parent / unique
    (tmp_path / "leave").write_text(f"[ -e data ] && echo left >>{shlex.quote(str(trace))}\necho said\n")
    (tmp_path / "data").touch()
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from toolkit.targets import open_target\n"
        "with open_target(sys.argv[1]).workplace() as place:\n"
        "    place.bring({'leave.sh': Path(sys.argv[2]), 'data': Path(sys.argv[3])})\n"
        "    if sys.argv[4] == 'kill':\n"
        "        os.kill(os.getpid(), 9)\n"
    )
    for count, end in enumerate(("leave", "kill"), start=1):
        subprocess.run(
            [sys.executable, "-c", program, device.text, tmp_path / "leave", tmp_path / "data", end],
            check=end == "leave",
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        assert until(lambda: left(device) == [])
        assert trace.read_text() == "left\n" * count


def test_a_connection_that_is_lost_is_worth_another_try(remote: Device, unique: str) -> None:
    """The error is a transient one, the device has ended the command and removed the folder, and another try works."""
    with remote.target().workplace() as place:
        lines = place.run(sleeper(unique))
        assert next(lines) == "started"
        remote.cut()
        with pytest.raises(TransientDeviceError, match=remote.text) as error:
            next(lines)
    assert "\n" not in str(error.value)
    assert until(lambda: not running(unique))
    assert until(lambda: left(remote) == [])
    assert until(lambda: answers(remote))


def answers(device: Device) -> bool:
    """Whether the device can be reached."""
    try:
        return device.target().machine() == device.machine
    except TransientDeviceError:
        return False


def test_files_lost_with_the_connection_are_worth_another_try(remote: Device, tmp_path: Path) -> None:
    """A workplace whose connection went between two commands says so, and does not blame the device."""
    (tmp_path / "data").write_bytes(b"x")
    with remote.target().workplace() as place:
        remote.cut()
        assert until(lambda: left(remote) == [])
        with pytest.raises(TransientDeviceError):
            place.bring({"data": tmp_path / "data"})
    assert until(lambda: answers(remote))


def test_a_device_without_room_says_how_much_is_needed(
    device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that do not fit are a stable error with the remedy, and what was brought of them is removed."""
    (tmp_path / "big").write_bytes(bytes(20 * SMALL_KIB * 1024))
    device.limit.touch()
    if device.text == "local":
        # The shell of this machine, with the limit that the other devices' logins set.
        (tmp_path / "sh").write_text(f'#!/bin/sh\nulimit -f {2 * SMALL_KIB}\nexec /bin/sh "$@"\n')
        (tmp_path / "sh").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with (
        pytest.raises(StableDeviceError, match=r"no room for 1\.3 MB.*TMPDIR"),
        device.target().workplace() as place,
    ):
        place.bring({"big": tmp_path / "big"})
    assert left(device) == []


def test_a_full_device_is_understood_in_any_language(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that speaks German is asked for the words that are known."""
    (tmp_path / "data").write_bytes(b"x")
    (tmp_path / "tar").write_text(
        '#!/bin/sh\n[ "$LC_ALL" = C ] && echo "tar: No space left on device" >&2 ||'
        " echo 'tar: Auf dem Gerät ist kein Speicherplatz mehr verfügbar' >&2\nexit 2\n"
    )
    (tmp_path / "tar").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with open_target("local").workplace() as place, pytest.raises(StableDeviceError, match="has no room for"):
        place.bring({"data": tmp_path / "data"})


def test_a_program_for_another_architecture_is_not_brought(device: Device, tmp_path: Path) -> None:
    """The message names both architectures."""
    other, number = ("x86_64", 62) if device.machine == "aarch64" else ("aarch64", 183)
    program = tmp_path / "runner"
    program.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 2, number) + bytes(40))
    with (
        device.target().workplace() as place,
        pytest.raises(StableDeviceError, match=f"runner is built for {other}, .* is {device.machine}"),
    ):
        place.bring({"runner": program})


def test_a_program_that_cannot_start_is_told_from_one_that_fails(device: Device, tmp_path: Path) -> None:
    """What lacks the right to run, or a loader, is no program for the device."""
    (tmp_path / "runner").write_text("no program")
    with device.target().workplace() as place:
        place.bring({"runner": tmp_path / "runner"})
        with pytest.raises(StableDeviceError, match=r"cannot start \./runner.*another system"):
            list(place.run(["./runner"]))


def test_a_device_without_python_says_what_to_do(device: Device) -> None:
    """The message names the Python that was looked for."""
    target = open_target(device.text, "python3.999")
    with (
        target.workplace() as place,
        pytest.raises(StableDeviceError, match=r"has no python3\.999\. Install Python.*--python.*needs none"),
    ):
        list(place.run(["{python}", "--version"]))


def test_a_device_without_a_runtime_says_what_to_install(device: Device) -> None:
    """A Python without packages names the one to install."""
    bare = device.parent.parent / "bare-python"
    bare.write_text(f'#!/bin/sh\nexec {device.python} -S "$@"\n')
    bare.chmod(0o755)
    lines = carry_out(open_target(device.text, str(bare)), PythonAgent(), Plan(), {})
    with pytest.raises(StableDeviceError, match="pip install"):
        list(lines)


def test_what_a_reboot_left_is_removed_by_the_next_workplace(device: Device, tmp_path: Path) -> None:
    """A work folder of another boot goes, also an empty one; one of this boot may be another's, and stays."""
    (tmp_path / "data").write_bytes(b"x")
    parent, boot = device.parent, Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    other = parent / f"aec-toolkit-{boot}-abcdefgh"
    full, empty = parent / "aec-toolkit-00000000-abcdefgh", parent / "aec-toolkit-00000000-ijklmnop"
    with device.target().workplace() as place:
        place.bring({"data": tmp_path / "data"})
        (folder,) = left(device)
        for copy in (other, full):
            shutil.copytree(folder, copy)
        empty.mkdir()
    try:
        with device.target().workplace():
            assert not full.exists()
            assert not empty.exists()
            assert other.exists()
    finally:
        shutil.rmtree(other)


@pytest.mark.parametrize("name", ["aec-toolkit-main", "aec-toolkit-0a1b2c3d-training"])
def test_a_folder_of_somebody_elses_stays(name: str, device: Device, tmp_path: Path) -> None:
    """A checkout beside the work folders is nobody's to remove, whatever it is called."""
    (tmp_path / "data").write_bytes(b"x")
    own = device.parent / name
    own.mkdir()
    (own / "my_work.txt").touch()
    try:
        with device.target().workplace() as place:
            place.bring({"data": tmp_path / "data"})
        assert [path.name for path in own.iterdir()] == ["my_work.txt"]
    finally:
        shutil.rmtree(own)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Two models and samples for one of them."""
    (tmp_path / "relu").write_bytes(fake_tflite(64))
    (tmp_path / "sum").write_bytes(adding_tflite(3))
    np.arange(1, 10, dtype="<f4").tofile(tmp_path / "samples")
    return {"relu.tflite": tmp_path / "relu", "sum.tflite": tmp_path / "sum", "samples.raw": tmp_path / "samples"}


PLAN = Plan(
    time=("relu.tflite", "sum.tflite", "relu.tflite"),
    peak="relu.tflite",
    play=(Play(file="sum.tflite", samples="samples.raw", hop_samples=3),),
    warmups=1,
    runs=3,
)


def test_a_plan_is_carried_out(device: Device, files: dict[str, Path]) -> None:
    """The Python agent gives its start, a visit for each file of the plan in order, the peak, and the scores."""
    start, *visits, peak, played = carry_out(device.target(), PythonAgent(), PLAN, files)
    assert isinstance(start, Start)
    assert start.environment.machine == device.machine
    assert [visit.file for visit in visits if isinstance(visit, Visit)] == list(PLAN.time)
    assert isinstance(peak, Peak)
    assert peak.peak_bytes >= start.base_bytes
    assert isinstance(played, Played)
    assert [list(scores) for scores in played.scores] == [[1, 2, 3], [5, 7, 9], [12, 15, 18]]
    assert left(device) == []


def test_plans_follow_one_another_in_one_workplace(device: Device, files: dict[str, Path]) -> None:
    """Files are brought once; each plan has a process of its own."""
    agent = PythonAgent()
    with device.target().workplace() as place:
        place.bring({**agent.files, **files})
        for file in ("relu.tflite", "sum.tflite"):
            start, peak = run_plan(place, agent, Plan(peak=file))
            assert isinstance(start, Start)
            assert isinstance(peak, Peak)
            assert peak.file == file


@pytest.mark.system
def test_a_raspberry_pi_tells_its_condition(pi: Device, files: dict[str, Path]) -> None:
    """Board, governor, clock, temperature and throttle flags are those of the board."""
    start, visit = carry_out(pi.target(), PythonAgent(), Plan(time=("relu.tflite",)), files)
    assert isinstance(start, Start)
    assert start.environment.cpu == "Raspberry Pi 4 Model B Rev 1.4"
    assert start.environment.governor == "ondemand"
    assert isinstance(visit, Visit)
    assert visit.before == visit.after
    assert visit.before.model_dump() == {"clock_mhz": 1500.0, "temperature_c": 48.312, "throttled": "0x50005"}


@pytest.mark.system
@pytest.mark.parametrize("runtime", ["tflite", "executorch"])
def test_a_native_agent_runs_on_a_raspberry_pi(
    runtime: Runtime, pi: Device, files: dict[str, Path], tmp_path: Path
) -> None:
    """The runner that is built for the target's architecture starts there, and needs no Python."""
    agent = native_agent(runtime, pi.target().machine(), note=lambda _: None, cache=tmp_path / "cache")
    plan = PLAN if runtime == "tflite" else Plan()
    start, *done = carry_out(open_target(pi.text, "python3.999"), agent, plan, files)
    assert isinstance(start, Start)
    assert (start.environment.machine, start.environment.runtime) == ("aarch64", runtime)
    assert start.environment.cpu.startswith("Raspberry Pi 4")
    assert [line.kind for line in done] == (["visit"] * 3 + ["peak", "played"] if runtime == "tflite" else [])
