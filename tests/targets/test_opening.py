"""What people type as a target: what is understood, and what is refused before anything is started."""

from __future__ import annotations

import pytest

from toolkit.specs.errors import UserError
from toolkit.targets import open_target
from toolkit.targets.ssh import SshAddress


@pytest.mark.parametrize(
    ("text", "user", "host", "port"),
    [
        ("ssh://kitchen", None, "kitchen", None),
        ("ssh://pi@raspberrypi.local", "pi", "raspberrypi.local", None),
        ("ssh://pi@10.0.0.7:2222", "pi", "10.0.0.7", 2222),
        ("ssh://[::1]", None, "::1", None),
        ("ssh://pi@[fe80::1%eth0]:22", "pi", "fe80::1%eth0", 22),
    ],
)
def test_ssh_addresses_are_user_host_and_port(text: str, user: str | None, host: str, port: int | None) -> None:
    """User and port may be left out; an IPv6 address stands in brackets."""
    assert SshAddress.parse(text) == SshAddress(text, user, host, port)


@pytest.mark.parametrize(
    "text",
    [
        "ssh://",
        "ssh://pi@",
        "ssh://@kitchen",
        "ssh://-oProxyCommand=touch pwned",
        "ssh://-oProxyCommand=touch@kitchen",
        "ssh://pi@-kitchen",
        "ssh://$(touch pwned)",
        "ssh://kitchen;touch",
        "ssh://pi'@kitchen",
        'ssh://pi@"kitchen"',
        "ssh://pi@kitchen sink",
        "ssh://pi@kitchen\n",
        "ssh://a@b@kitchen",
        "ssh://kitchen:",
        "ssh://kitchen:0",
        "ssh://kitchen:65536",
        "ssh://kitchen:-1",
        "ssh://kitchen/folder",
        "ssh://::1",
        "ssh://[::1",
        "ssh://[kitchen]",
        "ssh://[::1%$(touch pwned)]",
        "ssh://[::1]x",
    ],
)
def test_what_is_no_ssh_address_is_refused(text: str) -> None:
    """Names that could be an option, or that a shell would take for its own, are no names of devices."""
    with pytest.raises(UserError, match=r"is no device; expected ssh://\[USER@\]HOST\[:PORT\]"):
        open_target(text)


@pytest.mark.parametrize("text", ["", "locl", "LOCAL", "http://kitchen", "pi@kitchen"])
def test_an_unknown_target_lists_the_known_ones(text: str) -> None:
    """A typing error gets the list."""
    with pytest.raises(UserError, match=r"is no target; known: local \(this machine\), ssh://.*, adb://"):
        open_target(text)


def test_targets_keep_the_name_that_was_typed() -> None:
    """Messages and tables name a target as people do."""
    for text in ("local", "ssh://pi@kitchen:22", "adb://", "adb://0A1B2C"):
        assert open_target(text).name == text


@pytest.mark.parametrize("python", ["", "venv/bin/python", "~/venv/bin/python"])
def test_a_python_is_a_name_or_a_full_path(python: str) -> None:
    """A path that depends on where somebody stands is refused."""
    with pytest.raises(UserError, match="full path"):
        open_target("local", python)
