"""What every verb's command line shares: errors in one line with their exit code, `--json`, talk to stderr.

Not the verbs: each lives in its room's `__main__.py`. Proved by tests/test_cli.py.
"""

from __future__ import annotations

import errno
import functools
import json
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import click
from click.core import ParameterSource

from toolkit.specs.errors import ToolkitError


class Verb(click.Command):
    """A command that reports a ToolkitError in one line and leaves with its exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; errors that are for people go to stderr without a traceback."""
        try:
            return super().invoke(ctx)
        except ToolkitError as error:
            _leave(str(error), error.exit_code)
        except OSError as error:
            if error.errno in (None, errno.EPIPE):  # click ends quietly when the reader of our output has gone
                raise
            where = f": {error.filename}" if error.filename else ""
            _leave(f"{error.strerror or error}{where}. Check the path, its permissions and the space left.", 2)
        except KeyboardInterrupt:
            _leave("interrupted", 130)


def _leave(message: str, code: int) -> NoReturn:
    click.echo(f"error: {message}", err=True)
    sys.exit(code)


json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")


def verb(function: Callable[..., None]) -> Verb:
    """Make a click command of a room's main function; its docstring is the help."""
    return click.command(cls=Verb, context_settings={"help_option_names": ["-h", "--help"]})(function)


def typed_options() -> set[str]:
    """The options of the verb that runs which people typed, as `--device`."""
    context = click.get_current_context()
    return {
        each.opts[0]
        for each in context.command.params
        if context.get_parameter_source(each.name or "") is ParameterSource.COMMANDLINE
    }


def print_json(result: Any) -> None:
    """One JSON document to stdout."""
    click.echo(json.dumps(result, indent=2))


def needs(extra: str, packages: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Turn a missing package into one line that names the extra to install."""

    def wrap(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> None:
            try:
                function(*args, **kwargs)
            except ModuleNotFoundError as error:
                if (error.name or "").split(".")[0].startswith("toolkit"):
                    raise
                _leave(f"{error.name} is not installed ({packages}). Install: pip install 'aec-toolkit[{extra}]'", 2)

        return run

    return wrap
