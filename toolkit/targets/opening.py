"""From the text that people type to a target. Proved by tests/targets/test_opening.py."""

from __future__ import annotations

import sys
from functools import partial

from toolkit.specs.errors import UserError
from toolkit.targets.adb import adb_connection
from toolkit.targets.base import Target
from toolkit.targets.local import local_connection
from toolkit.targets.shell import ShellTarget
from toolkit.targets.ssh import SshAddress, ssh_connection


def open_target(text: str, python: str | None = None) -> Target:
    """The target that `text` names; nothing is reached yet.

    Args:
        text: `local`, `ssh://[USER@]HOST[:PORT]` or `adb://[SERIAL]`.
        python: the device's Python, a name that its PATH has or a full path; else `python3`, here the one that runs.

    Raises:
        UserError: there is no such target.
    """
    if python is not None and (not python or ("/" in python and not python.startswith("/"))):
        raise UserError(f"{python!r} names no Python of a device: a name that its PATH has, or a full path, is needed.")
    if text == "local":
        return ShellTarget(text, python or sys.executable, local_connection)
    if text.startswith("ssh://"):
        return ShellTarget(text, python or "python3", partial(ssh_connection, SshAddress.parse(text)))
    if text.startswith("adb://"):
        return ShellTarget(text, python or "python3", partial(adb_connection, text.removeprefix("adb://")))
    raise UserError(
        f"{text!r} is no target; known: local (this machine), ssh://[USER@]HOST[:PORT], adb://[SERIAL]. For a device "
        "that is not at hand leave --target out: its table is then modelled."
    )
