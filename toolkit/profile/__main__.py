"""`python -m toolkit.profile`: what the layers of a Run's space cost on a device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from toolkit.cli import json_option, print_json, verb

_FOLDER = click.Path(path_type=Path, file_okay=False)


@verb
@click.option("--device", metavar="NAME", help="A device profile: rpi4, pixel7, ...; with --target: host by default.")
@click.option("--target", metavar="TARGET", help="Where to measure: local (this machine). Without it: modelled.")
@click.option("--mode", type=click.Choice(["clip", "stream", "all"]), default="all", show_default=True)
@click.option("--precision", type=click.Choice(["int8", "fp32", "all"]), default="all", show_default=True)
@click.option("--run", type=_FOLDER, metavar="DIR", help="Run whose space is profiled; the default Run otherwise.")
@click.option("--quick", is_flag=True, help="Fewer timings: under a minute for one mode and precision.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Of a measured inference.")
@click.option("--devices", type=_FOLDER, metavar="DIR", help="Folder with profiles of your own.")
@click.option("--out", type=_FOLDER, default=Path("out"), show_default=True, help="Tables go to OUT/tables.")
@json_option
def main(as_json: bool, **options: Any) -> None:
    """Write cost tables: what every layer of a space costs on a device.

    With --target every layer is measured there. Without it the costs are modelled from the device's profile, and
    every row and every figure says so.
    """
    from toolkit.profile import report
    from toolkit.profile.profile import Question, profile
    from toolkit.progress import Progress

    with Progress() as progress:
        tables, run = profile(Question(**options), progress.count)
    if as_json:
        print_json(report.as_json(tables, run))
    else:
        report.print_tables(tables, run)


if __name__ == "__main__":
    main()
