"""What a device does with whoever logs in, whichever way."""

from __future__ import annotations

import shlex
from pathlib import Path

NASTY = 'it\'s "a" $(touch pwned); `touch pwned` & \\n *'
"""Name of the folder in which work folders are made."""
SMALL_KIB = 64
"""Size of the largest file on a device that has no room."""


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
