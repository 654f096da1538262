"""`ssh://` targets with the real client and server: keys, hosts, the user's own configuration, one connection."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.targets.conftest import needs, until
from tests.targets.login import NASTY, write_login
from tests.targets.sshd import Sshd, ssh_server
from toolkit.specs.errors import DeviceError, StableDeviceError, TransientDeviceError
from toolkit.targets import open_target
from toolkit.targets.shell import LEASE_S

pytestmark = pytest.mark.system


@pytest.fixture
def new_kitchen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    """A server of the test's own, whose files it may change."""
    needs("ssh", "sshd", "ssh-keygen")
    with ssh_server(tmp_path, write_login(tmp_path, "sh")) as server:
        monkeypatch.setenv("PATH", f"{server.client}:{os.environ['PATH']}")
        yield server


def refusal(text: str) -> DeviceError:
    """Why a device cannot be reached."""
    begin = time.monotonic()
    with pytest.raises(DeviceError) as error:
        open_target(text).machine()
    assert "\n" not in str(error.value)
    assert time.monotonic() - begin < 30
    return error.value


def test_one_connection_serves_a_whole_workplace(new_kitchen: Sshd, tmp_path: Path) -> None:
    """However many files are brought and commands run, the device is logged into once."""
    (tmp_path / "data").write_bytes(b"x")
    with open_target("ssh://kitchen").workplace() as place:
        for number in range(3):
            place.bring({f"data{number}": tmp_path / "data"})
            assert list(place.run(["ls"]))[-1] == f"data{number}"
    assert new_kitchen.log.count("Accepted publickey") == 1


def test_a_jump_host_of_the_users_configuration_is_taken(new_kitchen: Sshd) -> None:
    """An alias that the configuration reaches through another host is reached so."""
    assert open_target("ssh://behind").machine() == os.uname().machine
    assert new_kitchen.log.count("Accepted publickey") == 2


def test_user_and_port_of_the_address_are_taken(new_kitchen: Sshd) -> None:
    """They go before the configuration's."""
    assert open_target(f"ssh://127.0.0.1:{new_kitchen.port}").machine() == os.uname().machine
    assert isinstance(refusal(f"ssh://nobody-there@127.0.0.1:{new_kitchen.port}"), StableDeviceError)
    assert "nobody-there" in new_kitchen.log


def test_an_unknown_host_key_is_refused(new_kitchen: Sshd) -> None:
    """The message says to connect by hand; the key is not written down."""
    new_kitchen.known_hosts.write_text("")
    error = refusal("ssh://kitchen")
    assert isinstance(error, StableDeviceError)
    assert str(error).startswith("ssh://kitchen: its host key is not known here")
    assert str(error).endswith(": ssh kitchen")
    assert new_kitchen.known_hosts.read_text() == ""


def test_a_changed_host_key_is_refused(new_kitchen: Sshd) -> None:
    """The message names the line of the old key, and warns that another device may be answering."""
    other_key = (new_kitchen.folder / "user.pub").read_text()
    new_kitchen.known_hosts.write_text(f"# mine\n[127.0.0.1]:{new_kitchen.port} {other_key}")
    error = refusal("ssh://kitchen")
    assert isinstance(error, StableDeviceError)
    assert re.search(f"host key has changed.*line 2 of {new_kitchen.known_hosts}", str(error))


def test_a_configuration_that_would_ignore_host_keys_is_overruled(new_kitchen: Sshd) -> None:
    """`StrictHostKeyChecking no` of a user's configuration does not hold for measurements."""
    new_kitchen.known_hosts.write_text("")
    config = new_kitchen.folder / "client_config"
    config.write_text(config.read_text() + "Host *\n    StrictHostKeyChecking no\n")
    assert "host key is not known" in str(refusal("ssh://kitchen"))


def test_a_key_that_is_not_let_in_is_refused_without_a_question(new_kitchen: Sshd) -> None:
    """The message says how to bring a key."""
    (new_kitchen.folder / "authorized").write_text("")
    error = refusal("ssh://kitchen")
    assert isinstance(error, StableDeviceError)
    assert "ssh-copy-id" in str(error)


def test_an_account_that_runs_no_commands_is_told_apart(new_kitchen: Sshd) -> None:
    """A login that only speaks, or ends without a word, is the device's answer and not a lost connection."""
    login = new_kitchen.folder / "login"
    for line, said in (
        ("echo 'This account is currently not available.'; exit 1", "This account is currently not available"),
        ("echo 'fatal: no such command' >&2; exit 128", "fatal: no such command"),
        ("exit 1", "exit code 1"),
    ):
        login.write_text(f"#!/bin/sh\n{line}\n")
        error = refusal("ssh://kitchen")
        assert isinstance(error, StableDeviceError)
        assert str(error).startswith(f"ssh://kitchen: its login shell runs no commands: {said}.")


def test_a_greeting_may_lack_its_end(new_kitchen: Sshd) -> None:
    """What a login prints before is no part of what is said, also where it ends within a line."""
    (new_kitchen.folder / "login").write_text('#!/bin/sh\nprintf Welcome\nexec sh "$@"\n')
    assert open_target("ssh://kitchen").machine() == os.uname().machine


def test_a_name_that_nobody_has_is_refused() -> None:
    """A wrong name is not worth another try."""
    error = refusal("ssh://no-such-host.invalid")
    assert "no such host" in str(error)


def test_a_device_that_is_off_is_worth_another_try() -> None:
    """Where nothing listens, the message has the client's reason."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    error = refusal(f"ssh://127.0.0.1:{port}")
    assert isinstance(error, TransientDeviceError)
    assert "Connection refused" in str(error)


def test_a_configuration_with_a_fault_is_to_be_mended(new_kitchen: Sshd) -> None:
    """What the client cannot read is the user's to mend, not a matter of trying again."""
    config = new_kitchen.folder / "client_config"
    config.write_text("Nonsense yes\n" + config.read_text())
    error = refusal("ssh://kitchen")
    assert isinstance(error, StableDeviceError)
    assert "Mend ~/.ssh/config" in str(error)


def test_a_cable_that_is_pulled_is_noticed(new_kitchen: Sshd) -> None:
    """A device that says nothing any more, without an end of the connection, is lost after some seconds."""
    with open_target("ssh://kitchen").workplace() as place:
        lines = place.run(["sh", "-c", "echo started; sleep 600"])
        assert next(lines) == "started"
        serving = [
            process
            for process in psutil.Process(new_kitchen.process.pid).children(recursive=True)
            if process.name().startswith("sshd")
        ]
        for process in serving:
            process.send_signal(signal.SIGSTOP)
        begin = time.monotonic()
        try:
            with pytest.raises(TransientDeviceError, match="ssh://kitchen"):
                next(lines)
        finally:
            for process in serving:
                process.send_signal(signal.SIGCONT)
    assert time.monotonic() - begin < 30


def test_without_a_client_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The package is named."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StableDeviceError, match="openssh-client"):
        open_target("ssh://kitchen").machine()


def test_nothing_is_asked_at_the_terminal(new_kitchen: Sshd) -> None:
    """Though there is a terminal, and a jump host would ask there about its key, the way ends with an error at once."""
    config = new_kitchen.folder / "client_config"
    config.write_text(config.read_text() + "Host *\n    StrictHostKeyChecking ask\n")
    new_kitchen.known_hosts.write_text("")
    program = (
        "import fcntl, sys, termios\n"
        "from toolkit.specs.errors import StableDeviceError\n"
        "from toolkit.targets import open_target\n"
        "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
        "try:\n"
        "    open_target('ssh://behind').machine()\n"
        "except StableDeviceError as error:\n"
        "    print('refused')\n"
    )
    ours, terminal = os.openpty()
    command = [sys.executable, "-c", program]
    with subprocess.Popen(
        command,
        stdin=terminal,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    ) as host:
        said, _ = host.communicate(timeout=60)
    os.close(ours)
    os.close(terminal)
    assert said == "refused\n"


def test_a_device_that_hears_nothing_more_ends_what_runs(new_kitchen: Sshd) -> None:
    """Where a cable is pulled no end of the connection reaches the device; after a while of silence it clears up."""
    (parent,) = (folder for folder in new_kitchen.folder.iterdir() if folder.name == NASTY)
    with open_target("ssh://kitchen").workplace() as place:
        lines = place.run(["sh", "-c", "echo $$; exec sleep 600"])
        sleeping = psutil.Process(int(next(lines)))
        silent = [process for process in psutil.Process().children(recursive=True) if process.name() == "ssh"]
        for process in silent:
            process.send_signal(signal.SIGSTOP)
        try:
            sleeping.wait(LEASE_S + 30)
            assert until(lambda: not any(parent.iterdir()))
        finally:
            for process in silent:
                process.send_signal(signal.SIGCONT)
        with pytest.raises(TransientDeviceError, match="connection was lost"):
            next(lines)
