"""Native runners are built once, for the architecture asked for, or not at all with a reason."""

from __future__ import annotations

import platform
import re
import struct
from pathlib import Path

import pytest

from tests.native.conftest import Build
from toolkit import native
from toolkit.native.build import native_agent
from toolkit.specs.errors import StableDeviceError, UserError
from toolkit.specs.runtime import Runtime

ROOT = Path(__file__).parents[2]
ELF_MACHINES = {"x86_64": 62, "aarch64": 183}
"""Source: System V ABI, e_machine."""
RUNTIMES: list[Runtime] = ["executorch", "tflite"]


def silent(_: str) -> None:
    """Take no note."""


def test_wheels_are_those_of_the_lock() -> None:
    """Versions and hashes of the wheels that are built against are those that the whole project is locked to."""
    section = r"^(?:ai-edge-litert|executorch)==.*?(?=^[a-z])"
    expected = re.findall(section, (ROOT / "requirements" / "all.txt").read_text(), re.MULTILINE | re.DOTALL)
    found = (Path(native.__file__).parent / "wheels.txt").read_text()
    assert len(expected) == 2
    for part in expected:
        assert set(re.findall(r"\S+==\S+|--hash=\S+", part)) <= set(found.split())


def test_an_unknown_runtime_lists_the_known_ones() -> None:
    """No runner runs Core ML files."""
    with pytest.raises(UserError, match=r"no native runner for coreml; known: executorch, tflite\."):
        native_agent("coreml", "aarch64", silent)


def test_a_device_without_libraries_is_told_so() -> None:
    """Runtimes are not built for a 32-bit system; the message says what to do, Python where that runs the files."""
    with pytest.raises(
        StableDeviceError, match=r"armv7l.*Put a 64-bit system on it, or measure with the device's Python\.$"
    ):
        native_agent("tflite", "armv7l", silent)
    with pytest.raises(StableDeviceError, match=r"armv7l.*Put a 64-bit system on it\.$"):
        native_agent("executorch", "armv7l", silent)


@pytest.mark.parametrize(("machine", "package"), [("aarch64", "g++-aarch64-linux-gnu"), ("x86_64", "g++")])
def test_a_missing_compiler_is_named_with_its_package(
    machine: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the PATH has no compiler, the message says what to install; nothing is left behind."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    cache = tmp_path / "cache"
    with pytest.raises(UserError, match=f"apt install {re.escape(package)}$"):
        native_agent("executorch", machine, silent, cache)
    assert not cache.exists()


@pytest.mark.system
@pytest.mark.parametrize("machine", list(ELF_MACHINES))
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_runner_and_libraries_are_of_the_architecture(runtime: Runtime, machine: str, build: Build) -> None:
    """All that is brought to the device is for its processor; the runner finds its libraries beside it."""
    agent = build(runtime, machine)
    assert agent.command("plan.txt") == ("./runner", "plan.txt")
    for path in agent.files.values():
        head = path.read_bytes()[:20]
        assert head[:4] == b"\x7fELF"
        assert struct.unpack_from("<H", head, 18)[0] == ELF_MACHINES[machine], path
    assert b"$ORIGIN\0" in agent.files["runner"].read_bytes()


@pytest.mark.system
def test_a_runner_is_built_once(tmp_path: Path) -> None:
    """The second call finds what the first one made, and says nothing."""
    notes: list[str] = []
    first = native_agent("tflite", platform.machine(), notes.append, tmp_path)
    second = native_agent("tflite", platform.machine(), notes.append, tmp_path)
    assert first == second
    assert len(notes) == 1


@pytest.mark.system
def test_a_failed_build_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler that fails says why in one line; the cache holds no folder that could be taken for a runner."""
    compiler = tmp_path / "bin" / "g++"
    compiler.parent.mkdir()
    compiler.write_text(
        "#!/bin/sh\ntest $1 = --version && exit\n"
        "test $LC_ALL = C && echo 'runner.cpp:1:1: error: no room' >&2\necho compilation terminated. >&2\nexit 1\n"
    )
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{compiler.parent}:/bin:/usr/bin")
    with pytest.raises(UserError, match=r"could not be compiled: runner\.cpp:1:1: error: no room$"):
        native_agent("tflite", platform.machine(), silent, tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]
