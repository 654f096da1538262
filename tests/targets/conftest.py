"""Devices for one suite: this machine, a real sshd, an emulated Raspberry Pi behind it, an adb device."""

from __future__ import annotations

import os
import platform
import shlex
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
from tests.targets.sshd import Sshd, ssh_server
from toolkit.targets import Target, open_target

PROJECT = Path(__file__).parents[2]
NASTY = 'it\'s "a" $(touch pwned); `touch pwned` & \\n *'
"""A folder's name; work folders are made in there."""
SMALL_KIB = 64

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
    """A server whose sessions run in an aarch64 userland under qemu-user; proot does what binfmt_misc would."""
    needs("ssh", "sshd", "ssh-keygen", "proot", "qemu-aarch64-static")
    made = subprocess.run([PROJECT / "scripts/make-arm64-root"], stdout=subprocess.PIPE, text=True, check=True)
    folder = tmp_path_factory.mktemp("pi")
    binds = ["/proc", "/dev", str(folder), f"{write_sys(folder / 'sys')}:/sys"]
    words = ["proot", "-q", "qemu-aarch64-static", "-r", made.stdout.strip(), "-w", "/"]
    inside = ["env", "-i", "PATH=/usr/bin", f"TMPDIR={folder / NASTY}", "sh"]
    line = shlex.join([*words, *(word for bind in binds for word in ("-b", bind)), *inside])
    with ssh_server(folder, write_login(folder, line)) as server:
        yield server


def write_sys(folder: Path) -> Path:
    """What a Raspberry Pi 4 tells in /sys."""
    told = {
        "firmware/devicetree/base/model": "Raspberry Pi 4 Model B Rev 1.4\0",
        "class/thermal/thermal_zone0/temp": "48312\n",
        "devices/platform/soc/soc:firmware/get_throttled": "50005\n",
    }
    for core in range(os.cpu_count() or 1):
        frequency = f"devices/system/cpu/cpu{core}/cpufreq/"
        told |= {frequency + "scaling_cur_freq": "1500000\n", frequency + "scaling_governor": "ondemand\n"}
    for name, text in told.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


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
        subprocess.run(["adb", "connect", device.address], check=True, capture_output=True, timeout=60)

    yield attach
    subprocess.run(["adb", "kill-server"], check=False, capture_output=True, timeout=60)


def write_login(folder: Path, shell: str) -> Path:
    """A login that greets, as many do, and knows where work folders are made; `shell` is a command line."""
    parent = folder / NASTY
    parent.mkdir()
    login = folder / "login"
    login.write_text(
        "#!/bin/sh\n"
        "echo 'Welcome to the kitchen'\n"
        f"export TMPDIR={shlex.quote(str(parent))}\n"
        f"if [ -e {folder / 'limit'} ]; then ulimit -f {SMALL_KIB * 2}; fi\n"  # in blocks of 512 bytes
        f'exec {shell} "$@"\n'
    )
    login.chmod(0o755)
    return login


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
