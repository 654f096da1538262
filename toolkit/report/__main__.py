"""`python -m toolkit.report`: one self-contained HTML page of what search, profile, export and verify wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from toolkit.cli import json_option, needs, print_json, verb

_FOLDER = click.Path(path_type=Path, file_okay=False)


@verb
@click.option(
    "--device",
    "device_names",
    multiple=True,
    metavar="NAME",
    help="May be repeated.  [default: all that have a table for the Run]",
)
@click.option("--run", type=_FOLDER, metavar="DIR", help="Run to report on; the default Run otherwise.")
@click.option("--runtime", type=click.Choice(["tflite", "executorch"]), default="tflite", show_default=True)
@click.option("--mode", type=click.Choice(["stream", "clip"]), default="stream", show_default=True)
@click.option("--precision", type=click.Choice(["int8", "fp32"]), default="int8", show_default=True)
@click.option(
    "--out", type=_FOLDER, default=Path("out"), show_default=True, help="Tables, measurements and bundles lie there."
)
@click.option("--devices", type=_FOLDER, metavar="DIR", help="Folder with profiles of your own, and their tables/.")
@click.option("--to", type=click.Path(path_type=Path, dir_okay=False), help="[default: OUT/report.html]")
@json_option
@needs("report", "plotly draws the fronts, jinja2 fills the page")
def main(as_json: bool, **options: Any) -> None:
    """Write the fronts, cost tables, measurements and certificates of a Run as one HTML page that needs no network.

    Nothing is searched on recordings and no Pick is written: the page shows what is known.
    """
    from toolkit.report.findings import Asked, look_around
    from toolkit.report.page import write_page

    asked = Asked(**options)
    findings = look_around(asked)
    size_bytes = write_page(findings, asked.page)
    if as_json:
        print_json(findings.summary | {"page": str(asked.page), "size_bytes": size_bytes})
        return
    for name, reason in findings.left_out.items():
        click.echo(f"left out {name}: {reason}", err=True)
    counts = {"device": findings.devices, "measurement": findings.measured, "certificate": findings.certificates}
    held = ", ".join(f"{len(some)} {name}{'' if len(some) == 1 else 's'}" for name, some in counts.items())
    click.echo(f"{asked.page}: {held}")


if __name__ == "__main__":
    main()
