"""`python -m toolkit.demo`: profile this machine, search, export, verify, listen; each as a person would type it."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import click

from toolkit.cli import json_option, needs, print_json, verb


@verb
@click.option(
    "--audio", type=click.Path(path_type=Path), help="A recording to listen to.  [default: a synthesized scene]"
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("out/demo"), show_default=True)
@json_option
@needs("export", "the demo needs all extras: train, export, device")
def main(audio: Path | None, out: Path, as_json: bool) -> None:
    """Run the whole chain on this machine: profile, search, export, verify, listen."""
    from toolkit.demo.chain import run_chain

    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        summary = run_chain(audio, out)
    if as_json:
        print_json(summary)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title="What was found", show_header=False)
    for name, value in summary.items():
        table.add_row(name, str(value))
    Console().print(table)


if __name__ == "__main__":
    main()
