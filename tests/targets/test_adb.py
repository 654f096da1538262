"""`adb://` targets with the real client and server: which device is meant, and what is said when it is not there."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.targets.adbd import FakeAdbd, adb_device
from tests.targets.login import write_login
from toolkit.specs.errors import StableDeviceError, TransientDeviceError
from toolkit.targets import open_target

pytestmark = pytest.mark.system

Attach = Callable[[FakeAdbd], None]


@pytest.fixture
def second(tmp_path: Path) -> Iterator[FakeAdbd]:
    """Another device."""
    with adb_device(write_login(tmp_path, "mksh"), "Two") as made:
        yield made


def test_the_only_device_needs_no_serial(adbd: FakeAdbd, adb_server: Attach) -> None:
    """`adb://` means the one that is attached."""
    adb_server(adbd)
    assert open_target("adb://").machine() == platform.machine()


def test_of_several_devices_one_is_to_be_named(adbd: FakeAdbd, second: FakeAdbd, adb_server: Attach) -> None:
    """Without a serial none is chosen and all are listed; with one, that one answers."""
    for device in (adbd, second):
        adb_server(device)
    with pytest.raises(StableDeviceError) as error:
        open_target("adb://").machine()
    assert f"adb://{adbd.address}" in str(error.value)
    assert f"adb://{second.address}" in str(error.value)
    with open_target(f"adb://{second.address}").workplace():
        assert len(list((second.login.parent).glob("*/aec-toolkit-*"))) == 1
        assert not list((adbd.login.parent).glob("*/aec-toolkit-*"))


def test_a_serial_from_the_environment_does_not_choose(
    adbd: FakeAdbd, second: FakeAdbd, adb_server: Attach, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ANDROID_SERIAL, forgotten in some shell, does not decide what is measured."""
    for device in (adbd, second):
        adb_server(device)
    monkeypatch.setenv("ANDROID_SERIAL", adbd.address)
    with pytest.raises(StableDeviceError, match="several devices"):
        open_target("adb://").machine()


def test_a_device_that_lets_nobody_in_is_to_be_unlocked(second: FakeAdbd, adb_server: Attach) -> None:
    """Until USB debugging is allowed on it, trying again gives the same; the message says what to do."""
    second.locked = True
    adb_server(second)
    with pytest.raises(StableDeviceError, match=f"adb://{second.address} lets nobody in.*allow USB debugging"):
        open_target(f"adb://{second.address}").machine()


def test_a_device_that_may_not_be_opened_needs_a_udev_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What adb says of a USB device that this user may not open is no matter of cables; a program says it for adb."""
    for state in (
        "no permissions (missing udev rules? user is in the plugdev group); see [http://x]",
        "no permissions",
    ):
        (tmp_path / "adb").write_text(f"#!/bin/sh\nprintf 'List of devices attached\\n0A1B2C\\t%s\\n' '{state}'\n")
        (tmp_path / "adb").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        with pytest.raises(StableDeviceError, match=r"adb://0A1B2C .*udev rules.*plugdev") as error:
            open_target("adb://").machine()
        assert "cable" not in str(error.value)


@pytest.mark.parametrize("serial", ["", "0A1B2C", "-d", "$(touch pwned)", "; touch pwned", "it's", "a b"])
@pytest.mark.usefixtures("adb_server")
def test_a_device_that_is_not_attached_is_worth_another_try(serial: str) -> None:
    """The message has the serial as it was typed; no shell makes anything of it."""
    with pytest.raises(TransientDeviceError) as error:
        open_target(f"adb://{serial}").machine()
    assert str(error.value) == f"adb://{serial}: no such device is attached; there are: none. Check the cable."
    assert not Path("pwned").exists()


def test_without_adb_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The package is named."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StableDeviceError, match="apt install adb"):
        open_target("adb://").machine()
