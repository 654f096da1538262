"""A real OpenSSH server on loopback with keys of its own, and the client's configuration for it."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass
class Sshd:
    """A running server: `ssh://kitchen` for the program in `client`; `ssh://behind` jumps through it to itself."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def client(self) -> Path:
        """A folder whose program `ssh` is the real one with this server's configuration."""
        return self.folder / "client"

    @property
    def known_hosts(self) -> Path:
        """The client's."""
        return self.folder / "known_hosts"

    @property
    def log(self) -> str:
        """What the server has said."""
        return (self.folder / "log").read_text()

    def cut(self) -> None:
        """Kill the processes that serve connections, and nothing that runs for them."""
        _kill_sessions(self.process)


@contextmanager
def ssh_server(folder: Path, login: Path) -> Iterator[Sshd]:
    """A server that runs `login -c COMMAND` for whoever comes."""
    server = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin") or "/usr/sbin/sshd"
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
    shutil.copy(folder / "user.pub", folder / "authorized")
    force = folder / "force"
    force.write_text(f'#!/bin/sh\nexec {login} -c "$SSH_ORIGINAL_COMMAND"\n')
    force.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "sshd_config").write_text(
        f"""
        ListenAddress 127.0.0.1
        HostKey {folder / "host"}
        AuthorizedKeysFile {folder / "authorized"}
        PidFile none
        StrictModes no
        UsePAM no
        PasswordAuthentication no
        KbdInteractiveAuthentication no
        LogLevel VERBOSE
        ForceCommand {force}
        """
    )
    _write_client(folder, port)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    command = [server, "-D", "-f", str(folder / "sshd_config"), "-p", str(port), "-E", str(folder / "log")]
    process = subprocess.Popen(command)
    try:
        _wait_for(port, process)
        yield Sshd(folder, port, process)
    finally:
        _kill_sessions(process)
        process.kill()
        process.wait()


def _kill_sessions(server: subprocess.Popen[bytes]) -> None:
    for process in psutil.Process(server.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if process.name().startswith("sshd"):
                process.kill()


def _write_client(folder: Path, port: int) -> None:
    host_key = (folder / "host.pub").read_text()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}")
    config = folder / "client_config"
    config.write_text(
        f"""
        Host kitchen behind 127.0.0.1
            HostName 127.0.0.1
            Port {port}
            User {getpass.getuser()}
            IdentityFile {folder / "user"}
            IdentitiesOnly yes
            UserKnownHostsFile {folder / "known_hosts"}
            GlobalKnownHostsFile none
        Host behind
            ProxyJump kitchen
        """
    )
    (folder / "client").mkdir()
    client = folder / "client" / "ssh"
    client.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {config} "$@"\n')
    client.chmod(0o755)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(100):
        assert process.poll() is None, "sshd did not start"
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"sshd does not listen on {port}")
