"""`python -m toolkit.export`: write a subnet as a bundle of runtime files."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click
from click.core import ParameterSource

from toolkit.cli import json_option, needs, print_json, verb
from toolkit.specs.runtime import Precision, Runtime

if TYPE_CHECKING:
    from toolkit.export.export import Order
    from toolkit.specs.layer import Mode
    from toolkit.specs.pick import Pick
    from toolkit.specs.run import Run

MODES: tuple[Mode, ...] = ("stream", "clip", "frames")
RUNTIMES: tuple[Runtime, ...] = get_args(Runtime)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
EVERY = "all"
Name = TypeVar("Name", bound=str)


def several(
    name: str, every: tuple[str, ...], default: tuple[str, ...], what: str, shown: str | None = None
) -> Callable[[Any], Any]:
    """An option that takes any of some words, or all of them."""
    choice = click.Choice((*every, EVERY))
    return click.option(
        f"--{name}", f"{name}s", type=choice, multiple=True, default=default, show_default=shown or True, help=what
    )


@verb
@click.option("--device", help="Export the latest pick for this device.")
@click.option("--pick", "pick_file", type=click.Path(path_type=Path), help="Export this pick.")
@click.option("--subnet", help="Export a subnet by its id, or `largest` or `smallest`.")
@click.option("--run", "run_folder", type=click.Path(path_type=Path), help="Run folder.  [default: the committed Run]")
@several("mode", MODES, ("stream", "clip"), "What one inference is; may be repeated.")
@several("runtime", RUNTIMES, ("tflite",), "Whose files; may be repeated.", "the pick's, or tflite")
@several(
    "precision",
    PRECISIONS,
    ("int8",),
    "Of the classifier, where a runtime has it; may be repeated.",
    "the pick's, or int8",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("out"),
    show_default=True,
    help="Picks are read from OUT/picks, the bundle goes to OUT/bundles.",
)
@click.option(
    "--via",
    type=click.Choice(("litert-torch", "onnx2tf")),
    default="litert-torch",
    show_default=True,
    help="What makes TFLite files; onnx2tf (fp32) is there to check the other, and is installed when first used.",
)
@click.option("--qat", is_flag=True, help="Fine-tune what becomes int8 on the clips of --data first.")
@click.option(
    "--data", type=click.Path(path_type=Path), help="Clips for --qat, in any layout or in none: labels are not needed."
)
@click.option(
    "--android",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Put what this Android demo app runs into it too: `stream` alone, in the pick's precision if that is there.",
)
@click.option("--zip", "as_zip", is_flag=True, help="Write BUNDLE.zip too, which the app's file picker takes.")
@json_option
@needs("export", "export needs torch and the converter of each runtime")
def main(
    device: str | None,
    pick_file: Path | None,
    subnet: str | None,
    run_folder: Path | None,
    out: Path,
    android: Path | None,
    as_zip: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Write a subnet as a bundle: runtime files with the front end inside, labels, golden vectors, manifest."""
    from toolkit.export.delivery import assets_bundle, goes_with, put_into_app, zip_bundle, zip_of
    from toolkit.export.export import export
    from toolkit.progress import Progress
    from toolkit.specs.bundle import bundle_folder
    from toolkit.specs.errors import UserError
    from toolkit.specs.run import Run

    if options["data"] and not options["qat"]:
        raise UserError("--data is what --qat hears: add --qat, or leave --data out.")
    pick = _pick(device, pick_file, subnet, out)
    if pick is not None:
        _fill_in(options, runtimes=pick.runtime, precisions=pick.precision)
    if android is not None:
        assets_bundle(android)  # refuses before anything is made
        _fill_in(options, modes="stream")
        _check_for_the_app(options)
    run = Run.open(run_folder)
    order = _order(run, pick, subnet or "", options)
    name = (pick.subnet, pick.device) if pick else (subnet or "", None)
    folder = bundle_folder(out, run, *name, fine_tuned=options["qat"])
    gone = goes_with(folder, run)
    with Progress() as progress:
        manifest = export(order, folder, progress.count)
    also = {"android": str(put_into_app(folder, android))} if android else {}
    if as_zip:
        also["zip"] = str(zip_bundle(folder))
    elif zip_of(folder).is_file():
        zip_of(folder).unlink()
        gone.append(zip_of(folder).name)
    if gone:
        click.echo(f"gone with the bundle that was there: {', '.join(gone)}", err=True)
    if as_json:
        files = [file.model_dump() for file in manifest.files]
        print_json({"bundle": str(folder), "subnet": manifest.subnet, "files": files} | also)
        return
    click.echo(f"bundle: {folder}  (subnet {manifest.subnet}, {len(manifest.labels)} labels)")
    for file in manifest.files:
        click.echo(f"  {file.name}  {file.size_bytes / 1e6:.2f} MB")
    for kind, where in also.items():
        click.echo(f"{kind}: {where}")
    of_run = f" --run {shlex.quote(str(run_folder))}" if run_folder else ""
    click.echo(f"next: python -m toolkit.verify --bundle {shlex.quote(str(folder))}{of_run}")


def _pick(device: str | None, pick_file: Path | None, subnet: str | None, out: Path) -> Pick | None:
    """The pick that is asked for; none where a subnet is named in its place."""
    from toolkit.specs.errors import UserError
    from toolkit.specs.pick import Pick, latest_pick

    if sum(given is not None for given in (device, pick_file, subnet)) != 1:
        raise UserError("say what to export with one of --device NAME, --pick FILE and --subnet ID.")
    if subnet is not None:
        return None
    path, pick = (pick_file, Pick.load(pick_file)) if pick_file else latest_pick(device or "", out)
    click.echo(f"pick: {path}", err=True)
    return pick


def _order(run: Run, pick: Pick | None, subnet: str, options: dict[str, Any]) -> Order:
    """What the command line asks for; what makes it is installed first."""
    from dataclasses import replace

    from toolkit.audio.dataset import data_root
    from toolkit.export.export import Order, choose_formats
    from toolkit.export.qat import data_to_hear
    from toolkit.lower.via_onnx2tf import ONNX2TF

    modes = _chosen(MODES, options["modes"])
    formats = choose_formats(_chosen(RUNTIMES, options["runtimes"]), _chosen(PRECISIONS, options["precisions"]))
    if pick is not None:
        order = Order.of_pick(run, pick, modes, formats)
    else:
        order = Order(run, run.manifest.space.parse(subnet), modes, formats)
    if options["qat"]:
        order = replace(order, qat_data=data_to_hear(data_root(options["data"])))
    order = replace(order, via=options["via"])
    if order.via == "onnx2tf":
        ONNX2TF.install(lambda line: click.echo(line, err=True))
    return order


def _fill_in(options: dict[str, Any], **values: str) -> None:
    """Put values where the command line asks for nothing else."""
    context = click.get_current_context()
    for name, value in values.items():
        if context.get_parameter_source(name) is ParameterSource.DEFAULT:
            options[name] = (value,)


def _check_for_the_app(options: dict[str, Any]) -> None:
    """Raise UserError where what is asked for holds no file that the Android app runs."""
    from toolkit.specs.errors import UserError

    if not {"stream", EVERY} & set(options["modes"]):
        raise UserError("the Android app runs `stream` files; expected --mode stream with --android.")
    if not {"tflite", "executorch", EVERY} & set(options["runtimes"]):
        raise UserError("the Android app runs tflite or executorch files; expected --runtime tflite with --android.")


def _chosen(every: tuple[Name, ...], wanted: tuple[str, ...]) -> tuple[Name, ...]:
    return tuple(name for name in every if name in wanted or EVERY in wanted)


if __name__ == "__main__":
    main()
