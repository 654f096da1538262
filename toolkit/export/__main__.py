"""`python -m toolkit.export`: write a subnet as a bundle of runtime files."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from toolkit.cli import json_option, needs, print_json, verb

if TYPE_CHECKING:
    from toolkit.specs.layer import Mode
    from toolkit.specs.runtime import Precision, Runtime

MODES: tuple[Mode, ...] = ("stream", "clip", "frames")
RUNTIMES: tuple[Runtime, ...] = ("tflite", "executorch", "coreml", "onnx")
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8", "int8-dynamic", "int8-weights")
EVERY = "all"
Name = TypeVar("Name", bound=str)


@verb
@click.option("--device", help="Export the latest pick for this device.")
@click.option("--pick", "pick_file", type=click.Path(path_type=Path), help="Export this pick.")
@click.option("--subnet", help="Export a subnet by its id, or `largest` or `smallest`.")
@click.option("--run", "run_folder", type=click.Path(path_type=Path), help="Run folder.  [default: the committed Run]")
@click.option(
    "--mode",
    "modes",
    type=click.Choice((*MODES, EVERY)),
    multiple=True,
    default=("stream", "clip"),
    show_default=True,
    help="What one inference is; may be repeated.",
)
@click.option(
    "--runtime",
    "runtimes",
    type=click.Choice((*RUNTIMES, EVERY)),
    multiple=True,
    default=("tflite",),
    show_default=True,
    help="Whose files; may be repeated.",
)
@click.option(
    "--precision",
    "precisions",
    type=click.Choice((*PRECISIONS, EVERY)),
    multiple=True,
    default=("int8",),
    show_default=True,
    help="Of the classifier, where a runtime has it; may be repeated.",
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
@click.option("--data", type=click.Path(path_type=Path), help="Clips for --qat; labels are not needed.")
@json_option
@needs("export", "export needs torch and the converter of each runtime")
def main(
    device: str | None,
    pick_file: Path | None,
    subnet: str | None,
    run_folder: Path | None,
    out: Path,
    as_json: bool,
    **options: Any,
) -> None:
    """Write a subnet as a bundle: runtime files with the front end inside, labels, golden vectors, manifest."""
    from dataclasses import replace

    from toolkit.audio.dataset import data_root, load_dataset
    from toolkit.export.export import Order, choose_formats, export
    from toolkit.lower.via_onnx2tf import ONNX2TF
    from toolkit.progress import Progress
    from toolkit.specs.errors import UserError
    from toolkit.specs.pick import Pick, latest_pick
    from toolkit.specs.run import Run

    if sum(given is not None for given in (device, pick_file, subnet)) != 1:
        raise UserError("say what to export with one of --device NAME, --pick FILE and --subnet ID.")
    modes = _chosen(MODES, options["modes"])
    formats = choose_formats(_chosen(RUNTIMES, options["runtimes"]), _chosen(PRECISIONS, options["precisions"]))
    run = Run.open(run_folder)
    if subnet is not None:
        order, name = Order(run, run.manifest.space.parse(subnet), modes, formats), subnet
    else:
        path, pick = (pick_file, Pick.load(pick_file)) if pick_file else latest_pick(device or "", out)
        click.echo(f"pick: {path}", err=True)
        order, name = Order.of_pick(run, pick, modes, formats), f"{pick.device}-{pick.subnet}"
    if options["qat"]:
        order = replace(order, qat_data=load_dataset(data_root(options["data"])))
    order = replace(order, via=options["via"])
    if order.via == "onnx2tf":
        ONNX2TF.install(lambda line: click.echo(line, err=True))
    folder = out / "bundles" / name
    with Progress() as progress:
        manifest = export(order, folder, progress.count)
    if as_json:
        print_json(
            {"bundle": str(folder), "subnet": manifest.subnet, "files": [f.model_dump() for f in manifest.files]}
        )
        return
    click.echo(f"bundle: {folder}  (subnet {manifest.subnet}, {len(manifest.labels)} labels)")
    for file in manifest.files:
        click.echo(f"  {file.name}  {file.size_bytes / 1e6:.2f} MB")
    of_run = f" --run {shlex.quote(str(run_folder))}" if run_folder else ""
    click.echo(f"next: python -m toolkit.verify --bundle {shlex.quote(str(folder))}{of_run}")


def _chosen(every: tuple[Name, ...], wanted: tuple[str, ...]) -> tuple[Name, ...]:
    return tuple(name for name in every if name in wanted or EVERY in wanted)


if __name__ == "__main__":
    main()
