"""`python -m toolkit.verify`: compare a bundle with PyTorch and write its certificate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import json_option, needs, print_json, typed_options, verb

if TYPE_CHECKING:
    from toolkit.progress import Progress
    from toolkit.specs.certificate import Certificate


_HERE = {"--run", "--data", "--split", "--threads"}
_ON_A_TARGET = {"--agent", "--python"}


@verb
@click.option("--bundle", type=click.Path(path_type=Path), required=True, help="Bundle folder.")
@click.option("--run", "run_folder", type=click.Path(path_type=Path), help="Its Run.  [default: the committed Run]")
@click.option("--data", type=click.Path(path_type=Path), help="Labelled audio, for mAP before and after.")
@click.option("--split", help="Split of the data to score.  [default: test, else validation, else train]")
@click.option("--target", metavar="TARGET", help="Play the golden samples there: local, ssh://USER@HOST, adb://SERIAL.")
@click.option("--agent", type=click.Choice(["python", "native"]), help="What plays TFLite files.  [default: python]")
@click.option("--python", metavar="PATH", help="The device's Python, if not python3.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads of PyTorch.  [default: all cores]")
@json_option
@needs("export", "verify needs torch and the runtime of each file")
@click.pass_context
def main(context: click.Context, /, bundle: Path, as_json: bool, **options: Any) -> None:
    """Compare every file of a bundle with PyTorch; exit 1 when one misses a bar or none could be run.

    With --target the files run on a device, on the bundle's golden samples alone; the Run is not needed then.
    """
    _refuse_idle(typed_options())

    from rich.console import Console

    from toolkit.progress import Progress
    from toolkit.verify.report import remarks, tables

    with Progress() as progress:
        certificate, name = (_there if options["target"] else _here)(bundle, options, progress)
    certificate.save(bundle / name)
    if as_json:
        print_json(certificate.model_dump(mode="json") | {"passed": certificate.passed, "bundle": str(bundle)})
    else:
        for table in tables(certificate):
            Console().print(table)
        for remark in remarks(certificate):
            click.echo(remark)
        click.echo(f"certificate: {bundle / name}")
    context.exit(0 if certificate.passed else 1)


def _refuse_idle(typed: set[str]) -> None:
    """Raise where people typed an option that would do nothing."""
    rules = [(_HERE, "with --target")] if "--target" in typed else [(_ON_A_TARGET, "without --target")]
    if "--data" not in typed:
        rules.append(({"--split"}, "without --data"))
    for options, where in rules:
        if idle := sorted(typed & options):
            raise click.UsageError(f"{', '.join(idle)} {'have' if idle[1:] else 'has'} no meaning {where}.")


def _here(bundle: Path, options: dict[str, Any], progress: Progress) -> tuple[Certificate, str]:
    import torch

    from toolkit.audio.dataset import load_dataset
    from toolkit.specs.bundle import CERTIFICATE
    from toolkit.specs.run import Run
    from toolkit.verify.verify import verify

    if options["threads"]:
        torch.set_num_threads(options["threads"])
    dataset = load_dataset(options["data"]) if options["data"] else None
    return verify(bundle, Run.open(options["run_folder"]), dataset, options["split"], progress.count), CERTIFICATE


def _there(bundle: Path, options: dict[str, Any], progress: Progress) -> tuple[Certificate, str]:
    from toolkit.native.choose import check_agent
    from toolkit.targets import open_target
    from toolkit.verify.on_device import certificate_name, verify_on

    check_agent("tflite", options["agent"], python=options["python"])
    target = open_target(options["target"], options["python"])
    return verify_on(bundle, target, options["agent"], progress.count), certificate_name(target)


if __name__ == "__main__":
    main()
