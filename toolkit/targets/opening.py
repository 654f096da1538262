"""From the text that people type to a target. Proved by tests/targets/test_local.py."""

from __future__ import annotations

from toolkit.specs.errors import UserError
from toolkit.targets.base import Target
from toolkit.targets.local import LocalTarget


def open_target(text: str) -> Target:
    """The target that `text` names.

    Raises:
        UserError: there is no such target.
    """
    if text == "local":
        return LocalTarget()
    if text.startswith(("ssh://", "adb://")):
        raise UserError(
            f"{text!r}: targets over {text[:3]} are not there yet. This machine can be measured: --target local. For a "
            "device that is not at hand leave --target out: its table is then modelled."
        )
    raise UserError(f"{text!r} is no target; known: local (this machine).")
