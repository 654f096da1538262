"""What all verbs share: one line and an exit code for each error, results to stdout, talk to stderr."""

from __future__ import annotations

import errno
import json

import click
import pytest
from click.testing import CliRunner, Result

from toolkit import __main__ as toolkit_main
from toolkit.cli import json_option, needs, print_json, verb
from toolkit.specs.errors import InfeasibleError, MismatchError, StableDeviceError, UserError


def call(error: BaseException | None, *arguments: str) -> Result:
    """Call a verb that raises `error`, or prints its result."""

    @verb
    @json_option
    @needs("device", "a runtime")
    def main(as_json: bool) -> None:
        """Do something."""
        if error:
            raise error
        if as_json:
            print_json({"label": "Dog"})
        else:
            click.echo("Dog")

    return CliRunner().invoke(main, arguments)


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (UserError("a word"), 2),
        (MismatchError("a word"), 2),
        (InfeasibleError("a word"), 3),
        (StableDeviceError("a word"), 4),
    ],
)
def test_errors_for_people_are_one_line(error: Exception, exit_code: int) -> None:
    """An error of the toolkit's tree prints its message to stderr, nothing to stdout, and leaves with its code."""
    result = call(error)
    assert (result.exit_code, result.stdout, result.stderr) == (exit_code, "", "error: a word\n")


def test_a_full_disk_is_one_line() -> None:
    """An error of the operating system is told with its path and exits 2."""
    result = call(OSError(errno.ENOSPC, "No space left on device", "out/x"))
    assert result.exit_code == 2
    assert result.stderr.startswith("error: No space left on device: out/x. ")
    assert call(OSError(errno.ENOSPC, "No space left on device")).stderr.startswith("error: No space left on device. ")


def test_an_interrupt_exits_130() -> None:
    """Ctrl-C leaves with the shell's code for it and no traceback."""
    result = call(KeyboardInterrupt())
    assert (result.exit_code, result.stderr) == (130, "error: interrupted\n")


def test_a_closed_pipe_is_no_error() -> None:
    """When the reader of our output has gone (`| head`), nothing is said of paths and permissions."""
    result = call(BrokenPipeError(errno.EPIPE, "Broken pipe"))
    assert result.stderr == ""


def test_a_missing_package_names_the_extra() -> None:
    """A package that is not installed is answered with the extra that brings it."""
    result = call(ModuleNotFoundError("No module named 'psutil'", name="psutil"))
    assert result.exit_code == 2
    assert "pip install 'aec-toolkit[device]'" in result.stderr


@pytest.mark.parametrize("error", [ModuleNotFoundError("no", name="toolkit.absent"), ZeroDivisionError()])
def test_our_own_mistakes_keep_their_traceback(error: Exception) -> None:
    """A bug is not dressed up as the user's error."""
    assert call(error).exception is error


def test_results_go_to_stdout() -> None:
    """`--json` prints one document."""
    assert call(None).stdout == "Dog\n"
    assert json.loads(call(None, "--json").stdout) == {"label": "Dog"}


def test_wrong_options_exit_2() -> None:
    """An option that is not there is refused as click does."""
    assert call(None, "--yaml").exit_code == 2


def test_the_console_command_lists_every_verb() -> None:
    """`toolkit --help` names the verbs, `toolkit` alone does too, and an unknown verb exits 2."""
    for arguments in (["--help"], []):
        text = CliRunner().invoke(toolkit_main.main, arguments).output
        assert all(name in text for name in toolkit_main.VERBS)
    assert CliRunner().invoke(toolkit_main.main, ["dance"]).exit_code == 2


@pytest.mark.parametrize("name", toolkit_main.VERBS)
def test_every_verb_explains_itself(name: str) -> None:
    """`toolkit VERB --help` is the help of the room's own main function."""
    result = CliRunner().invoke(toolkit_main.main, [name, "--help"], prog_name="toolkit")
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"Usage: toolkit {name} ")
    assert "--json" in result.output
