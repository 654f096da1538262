"""`python -m toolkit.profile`: what the layers of a Run's space cost on a device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from toolkit.cli import json_option, print_json, typed_options, verb

_FOLDER = click.Path(path_type=Path, file_okay=False)
AGENTS = ("python", "native", "app")
_TARGET = "Where to measure: local, ssh://USER@HOST, adb://SERIAL. Without it: modelled."

_MEASURING = {
    *("--agent", "--benchmark-model", "--python", "--pack"),
    *("--threads", "--cores", "--quick", "--resume", "--sustained"),
}
_OF_PACKS = {"--run", "--runtime", "--mode", "--precision"}
_MAKING = {"--make-pack", *_OF_PACKS, "--out", "--json"}


def _cores(_: click.Context, __: click.Parameter, text: str) -> tuple[int, ...]:
    """Numbers with commas between."""
    try:
        return tuple(int(number) for number in text.split(",") if number)
    except ValueError:
        raise click.BadParameter(f"found {text!r}, expected numbers of cores, as in --cores 0,1") from None


@verb
@click.option("--device", metavar="NAME", help="A device profile: rpi4, pixel7, ...; with --target: host by default.")
@click.option("--target", metavar="TARGET", help=_TARGET)
@click.option("--runtime", type=click.Choice(["tflite", "executorch", "all"]), default="tflite", show_default=True)
@click.option("--mode", type=click.Choice(["clip", "stream", "all"]), default="all", show_default=True)
@click.option("--precision", type=click.Choice(["int8", "fp32", "all"]), default="all", show_default=True)
@click.option("--run", type=_FOLDER, metavar="DIR", help="Run whose space is profiled; the default Run otherwise.")
@click.option("--pack", type=_FOLDER, metavar="DIR", help="Measure this pack; needs no converter and no Run.")
@click.option("--make-pack", is_flag=True, help="Make the packs only, to be measured elsewhere with --pack.")
@click.option("--agent", type=click.Choice(AGENTS), help="What measures.  [default: python for tflite]")
@click.option("--benchmark-model", type=click.Path(path_type=Path), help="TFLite's program for the device, on Android.")
@click.option("--python", metavar="PATH", help="The device's Python, if not python3.")
@click.option("--quick", is_flag=True, help="Fewer timings: under a minute for one mode and precision.")
@click.option("--resume", is_flag=True, help="Go on with a profile that was interrupted.")
@click.option("--sustained", type=click.FloatRange(min=0.5), metavar="MINUTES", help="Work on and on, too.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Of a measured inference.")
@click.option("--cores", default="", metavar="N,N", callback=_cores, help="Cores to run on.  [default: the profile's]")
@click.option("--devices", type=_FOLDER, metavar="DIR", help="Folder with profiles of your own.")
@click.option("--out", type=_FOLDER, default=Path("out"), show_default=True, help="Tables go to OUT/tables.")
@json_option
def main(as_json: bool, make_pack: bool, **options: Any) -> None:
    """Write cost tables: what every layer of a space costs on a device.

    With --target every layer is measured there. Without it the costs are modelled from the device's profile, and
    every row and every figure says so.
    """
    _check_together(typed_options())
    from toolkit.profile import report
    from toolkit.profile.profile import Question, packs, profile
    from toolkit.progress import Progress

    with Progress() as progress:
        if make_pack:
            made = [str(path) for path in packs(Question(**options), progress.count)]
            print_json({"packs": made}) if as_json else click.echo("\n".join(made))
            return
        profiled = list(profile(Question(**options), progress.count))
    if as_json:
        print_json(report.as_json(profiled))
    else:
        report.print_tables(profiled)


def _check_together(typed: set[str]) -> None:
    """Nothing that people typed is passed over."""
    if "--make-pack" in typed and (idle := typed - _MAKING):
        raise click.UsageError(f"--make-pack measures nothing and is for any device: leave out {_listed(idle)}.")
    if "--target" not in typed and (idle := typed & _MEASURING):
        raise click.UsageError(
            f"{_listed(idle)}: for measuring alone. Say where with --target: local, ssh://USER@HOST, adb://SERIAL."
        )
    if "--pack" in typed and (idle := typed & _OF_PACKS):
        raise click.UsageError(f"what is in a --pack was settled when it was made: leave out {_listed(idle)}.")


def _listed(options: set[str]) -> str:
    return ", ".join(sorted(options))


if __name__ == "__main__":
    main()
