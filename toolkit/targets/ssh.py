"""Devices reached with the OpenSSH client, by the user's own configuration: keys, aliases, jump hosts.

Host keys are always checked. The first session of a connection carries the later ones, over a socket in a private
folder; nothing outlives it. Proved by tests/targets/test_targets.py and tests/targets/test_ssh.py.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from toolkit.specs.errors import DeviceError, StableDeviceError, TransientDeviceError, UserError
from toolkit.targets.job import Connection

# Neither can be an option, and neither holds anything that a shell of a ProxyCommand would take for its own.
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_ZONE = re.compile(r"[A-Za-z0-9_.-]+")

_SHORT_FOLDER, _PREFIX = Path("/tmp"), "aec-ssh-"  # noqa: S108 (a random private folder is made in it)
"""A socket's path holds 100 characters or so, and what TMPDIR names may be longer."""

_OPTIONS = {
    "BatchMode": "yes",
    "StrictHostKeyChecking": "yes",
    "ControlMaster": "auto",
    "ControlPersist": "no",
    "ConnectTimeout": "15",
    # A cable that is pulled is noticed after 15 s.
    "ServerAliveInterval": "5",
    "ServerAliveCountMax": "3",
    "ClearAllForwardings": "yes",
    "PermitLocalCommand": "no",
    "RemoteCommand": "none",
    "LogLevel": "ERROR",
}


_FAULTS: tuple[tuple[str, type[DeviceError], str], ...] = (
    (
        "HOST IDENTIFICATION HAS CHANGED",
        StableDeviceError,
        (
            "the host key has changed, so another device may be answering. If this one was set up anew, "
            "remove {old_key}, connect once by hand and compare the new key: {by_hand}"
        ),
    ),
    (
        "host key is known|Host key verification failed",
        StableDeviceError,
        "its host key is not known here. Connect once by hand and compare the key: {by_hand}",
    ),
    (
        "Permission denied|Too many authentication failures",
        StableDeviceError,
        (
            "it lets no key of yours in, and passwords are not asked for. Bring it a key, as with ssh-copy-id, "
            "until this works without a question: {by_hand}"
        ),
    ),
    # A name of mDNS is not known while its device starts.
    (
        r"Could not resolve hostname (\S+\.local:|.*Temporary failure)",
        TransientDeviceError,
        "no such host now. Is it on, and in the network? By hand: {by_hand}",
    ),
    ("Could not resolve hostname", StableDeviceError, "no such host. Check the name. By hand: {by_hand}"),
    ("[Bb]ad (configuration|owner|permissions)|bad configuration", StableDeviceError, "{last}. Mend ~/.ssh/config."),
    ("", TransientDeviceError, "{last}. Is it on, and in the network? By hand: {by_hand}"),
)
"""What the client says, the first that is found: kind of error and message."""


@dataclass(frozen=True)
class SshAddress:
    """What `ssh://[USER@]HOST[:PORT]` names."""

    text: str
    user: str | None
    host: str
    """Without the brackets of an IPv6 address."""
    port: int | None

    @classmethod
    def parse(cls, text: str) -> SshAddress:
        """The address in `ssh://[USER@]HOST[:PORT]`.

        Raises:
            UserError: it is none.
        """
        rest, found_user = text.removeprefix("ssh://"), None
        if "@" in rest:
            found_user, _, rest = rest.partition("@")
        match = re.fullmatch(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::(\d{1,5}))?", rest)
        host = match[1] if match else ""
        port = int(match[2]) if match and match[2] else None
        good_host = _is_address(host[1:-1]) if host.startswith("[") else _HOST.fullmatch(host)
        good_user = found_user is None or _USER.fullmatch(found_user)
        if not (good_host and good_user and (port is None or 0 < port < 65536)):
            raise UserError(
                f"{text!r} is no device; expected ssh://[USER@]HOST[:PORT], an IPv6 address in brackets. Names hold "
                "letters, digits, dots and dashes; give any other an alias in ~/.ssh/config."
            )
        return cls(text, found_user, host.strip("[]"), port)

    def words(self) -> list[str]:
        """Arguments of the client."""
        user = ["-l", self.user] if self.user else []
        port = ["-p", str(self.port)] if self.port else []
        return [*user, *port, "--", self.host]

    def by_hand(self) -> str:
        """What people type to connect."""
        port = f"-p {self.port} " if self.port else ""
        return f"ssh {port}{self.user + '@' if self.user else ''}{self.host}"


def _is_address(text: str) -> bool:
    address, _, zone = text.partition("%")
    try:
        ipaddress.IPv6Address(address)
    except ValueError:
        return False
    return "%" not in text or bool(_ZONE.fullmatch(zone))


@contextmanager
def ssh_connection(address: SshAddress) -> Iterator[Connection]:
    """The way to a device, open until the block ends.

    Raises:
        StableDeviceError: there is no OpenSSH client here.
    """
    program = shutil.which("ssh")
    if program is None:
        raise StableDeviceError("no ssh was found here. Install the OpenSSH client, on Debian: openssh-client.")
    for old in _SHORT_FOLDER.glob(f"{_PREFIX}*"):
        # Of a process that was killed. One in use holds its socket, but for its first moment.
        with suppress(OSError):
            if time.time() - old.stat().st_mtime > 3600:
                old.rmdir()
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=_SHORT_FOLDER, ignore_cleanup_errors=True) as folder:
        yield _Ssh(program, address, Path(folder, "socket"))


@dataclass(frozen=True)
class _Ssh:
    program: str
    address: SshAddress
    socket: Path
    lost_code = 255

    def argv(self, words: Sequence[str]) -> list[str]:
        """The client, with the words quoted for the shell that the device runs them in."""
        options = [word for name, value in _OPTIONS.items() for word in ("-o", f"{name}={value}")]
        client = ["env", "SSH_ASKPASS_REQUIRE=never", self.program, "-T", *options, "-o", f"ControlPath={self.socket}"]
        return [*client, *self.address.words(), "exec " + shlex.join(words)]

    def fault(self, talk: str) -> DeviceError | None:
        """What the client says of the way."""
        if not talk:
            return None
        key = re.search(r"^Offending \S+ key in (.*):(\d+)$", talk, re.MULTILINE)
        known = {
            "name": self.address.text,
            "by_hand": self.address.by_hand(),
            "old_key": f"line {key[2]} of {key[1]}" if key else "its line in known_hosts",
            "last": talk.rpartition("\n")[2].removeprefix("ssh: ").rstrip("."),
        }
        return next(
            kind(f"{{name}}: {message}".format_map(known))
            for pattern, kind, message in _FAULTS
            if re.search(pattern, talk)
        )
