"""Android devices, reached with the adb client.

Proved by tests/targets/test_targets.py and tests/targets/test_adb.py.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from toolkit.specs.errors import DeviceError, StableDeviceError, TransientDeviceError
from toolkit.targets.job import Connection


@contextmanager
def adb_connection(serial: str) -> Iterator[Connection]:
    """The way to the device with that serial; with an empty one, to the only device that is attached.

    Raises:
        TransientDeviceError: it is not attached, or not ready yet.
        StableDeviceError: there is no adb here, it lets nobody in, or there are several devices and none was named.
    """
    program = shutil.which("adb")
    if program is None:
        raise StableDeviceError("no adb was found here. Install it, on Debian and Ubuntu with: apt install adb")
    attached = _attached(program)
    listed = ", ".join(attached) or "none"
    if not serial and len(attached) > 1:
        raise StableDeviceError(f"several devices are attached. Name one: {', '.join(f'adb://{s}' for s in attached)}")
    chosen = serial or next(iter(attached), "")
    if chosen not in attached:
        raise TransientDeviceError(f"adb://{serial}: no such device is attached; there are: {listed}. Check the cable.")
    connection = _Adb(program, chosen)
    if attached[chosen] != "device":
        raise connection.fault(attached[chosen]) or TransientDeviceError(f"adb://{chosen} is {attached[chosen]}.")
    yield connection


def _attached(program: str) -> dict[str, str]:
    """State of each attached device by its serial."""
    try:
        done = subprocess.run(
            [program, "devices"], capture_output=True, text=True, errors="replace", check=False, timeout=60
        )
    except subprocess.TimeoutExpired:
        raise TransientDeviceError("the adb server does not answer. Start it anew: adb kill-server") from None
    if done.returncode:
        reason = (done.stderr or done.stdout).strip().rpartition("\n")[2]
        raise StableDeviceError(f"adb cannot list devices: {reason}")
    lines = done.stdout.partition("List of devices attached")[2].splitlines()
    return {serial: state for serial, tab, state in (line.partition("\t") for line in lines) if tab}


@dataclass(frozen=True)
class _Adb:
    program: str
    serial: str
    lost_code = 1

    def argv(self, words: Sequence[str]) -> list[str]:
        """The client, with the words quoted for the device's shell."""
        return [self.program, "-s", self.serial, "shell", "-T", "exec " + shlex.join(words)]

    def fault(self, talk: str) -> DeviceError | None:
        """What the client says of the way."""
        if "unauthorized" in talk:
            return StableDeviceError(f"adb://{self.serial} lets nobody in. Unlock it and allow USB debugging there.")
        if "no permissions" in talk or "insufficient permissions" in talk:
            return StableDeviceError(
                f"adb://{self.serial} may not be opened by you. Install its udev rules, on Debian and Ubuntu with: apt "
                "install android-sdk-platform-tools-common. Join the group plugdev: sudo usermod -aG plugdev $USER. "
                "Then log in anew, plug it in again, and: adb kill-server"
            )
        if "PTY args" in talk:
            return StableDeviceError(f"adb://{self.serial} is too old; Android 7 or newer is needed.")
        if talk:
            last = talk.strip().rpartition("\n")[2].removeprefix("error: ").rstrip(".")
            return TransientDeviceError(f"adb://{self.serial}: {last}. Check the cable.")
        return None
