"""Which architecture a program file is for. Proved by tests/targets/test_targets.py."""

from __future__ import annotations

import re
from pathlib import Path

_MACHINES = {3: "i686", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64"}
"""Source: `e_machine` of the ELF specification."""


def built_for(path: Path) -> str | None:
    """The architecture of an executable or library; None for any other file."""
    with path.open("rb") as file:
        head = file.read(20)
    if len(head) < 20 or not head.startswith(b"\x7fELF"):
        return None
    number = int.from_bytes(head[18:20], "little" if head[5] == 1 else "big")
    return _MACHINES.get(number, f"ELF machine {number}")


def architecture(machine: str) -> str:
    """What `uname -m` says, without the generation: armv6l and armv7l are `arm`, i586 is `i686`."""
    return re.sub(r"^i\d86$", "i686", re.sub(r"^armv.*", "arm", machine))
