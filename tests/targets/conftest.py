"""Devices for one suite: this machine, a real sshd, an emulated Raspberry Pi behind it, an adb device."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.targets.adbd import FakeAdbd, adb_device
from tests.targets.login import NASTY, write_login
from tests.targets.pi import PROGRAMS, emulated_pi
from tests.targets.sshd import Sshd, ssh_server
from toolkit.targets import Target, open_target

system = pytest.mark.system
REMOTE = [pytest.param(name, marks=system) for name in ("ssh", "pi", "adb")]


@dataclass(frozen=True)
class Device:
    """A target and what a test may know of it."""

    text: str
    python: str
    """One that has a runtime."""
    machine: str
    parent: Path
    """Where its work folders appear."""
    cut: Callable[[], None]
    """Lose the connection."""
    limit: Path
    """Where this file is, the device's files hold no more than SMALL_KIB."""

    def target(self) -> Target:
        """Opened anew."""
        return open_target(self.text, self.python)


@pytest.fixture(params=["local", *REMOTE])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Device:
    """Each device in turn."""
    return _device(request, monkeypatch)


@pytest.fixture(params=REMOTE)
def remote(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Device:
    """Each device that a connection leads to."""
    return _device(request, monkeypatch)


@pytest.fixture
def pi(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Device:
    """The emulated Raspberry Pi."""
    request.param = "pi"
    return _device(request, monkeypatch)


def _device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Device:
    tmp_path: Path = request.getfixturevalue("tmp_path")
    if request.param == "local":
        parent = tmp_path / NASTY
        parent.mkdir()
        monkeypatch.setenv("TMPDIR", str(parent))
        return Device("local", sys.executable, platform.machine(), parent, lambda: None, tmp_path / "limit")
    if request.param == "adb":
        adb: FakeAdbd = request.getfixturevalue("adbd")
        request.getfixturevalue("adb_server")(adb)
        folder, text, python = adb.login.parent, f"adb://{adb.address}", sys.executable
        cut = adb.cut
    else:
        sshd: Sshd = request.getfixturevalue("sshd" if request.param == "ssh" else "pi_sshd")
        monkeypatch.setenv("PATH", f"{sshd.client}:{os.environ['PATH']}")
        folder, text, cut = sshd.folder, "ssh://kitchen", sshd.cut
        python = sys.executable if request.param == "ssh" else "python3"
    machine = "aarch64" if request.param == "pi" else platform.machine()
    limit = folder / "limit"
    request.addfinalizer(lambda: limit.unlink(missing_ok=True))
    return Device(text, python, machine, folder / NASTY, cut, limit)


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A server whose sessions run in this machine's shell."""
    needs("ssh", "sshd", "ssh-keygen")
    folder = tmp_path_factory.mktemp("sshd")
    with ssh_server(folder, write_login(folder, "sh")) as server:
        yield server


@pytest.fixture(scope="session")
def pi_sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A server whose sessions run on an emulated Raspberry Pi."""
    needs(*PROGRAMS)
    folder = tmp_path_factory.mktemp("pi")
    with emulated_pi(folder) as server:
        yield server


@pytest.fixture(scope="session")
def adbd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeAdbd]:
    """A device that speaks the adb protocol; its shell is the one that Android has."""
    needs("adb", "mksh")
    folder = tmp_path_factory.mktemp("adbd")
    with adb_device(write_login(folder, "mksh"), "One") as made:
        yield made


@pytest.fixture
def adb_server(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[FakeAdbd], None]]:
    """A server of our own, so that nobody else's is disturbed; call it to attach a device."""
    needs("adb")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(port))
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))

    def attach(device: FakeAdbd) -> None:
        done = subprocess.run(["adb", "connect", device.address], check=False, capture_output=True, timeout=60)
        assert (b"failed to authenticate" if device.locked else b"connected to") in done.stdout

    yield attach
    subprocess.run(["adb", "kill-server"], check=False, capture_output=True, timeout=60)


def until(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Whether it comes true in that time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def needs(*programs: str) -> None:
    """Fail where one is missing: a suite that was asked for does not skip."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    missing = [program for program in programs if shutil.which(program, path=path) is None]
    if missing:
        pytest.fail(
            f"{', '.join(missing)} not found. Install what this suite needs: make system-packages", pytrace=False
        )
