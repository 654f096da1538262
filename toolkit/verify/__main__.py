"""`python -m toolkit.verify`: compare a bundle with PyTorch and write its certificate."""

from __future__ import annotations

from pathlib import Path

import click

from toolkit.cli import json_option, needs, print_json, verb


@verb
@click.option("--bundle", type=click.Path(path_type=Path), required=True, help="Bundle folder.")
@click.option("--run", "run_folder", type=click.Path(path_type=Path), help="Its Run.  [default: the committed Run]")
@click.option("--data", type=click.Path(path_type=Path), help="Labelled audio, for mAP before and after.")
@click.option("--split", help="Split of the data to score.  [default: test, else validation, else train]")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads of PyTorch.  [default: all cores]")
@json_option
@needs("export", "verify needs torch and the runtime of each file")
@click.pass_context
def main(
    context: click.Context,
    bundle: Path,
    run_folder: Path | None,
    data: Path | None,
    split: str | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Compare every file of a bundle with PyTorch; exit 1 when one misses a bar."""
    import torch
    from rich.console import Console

    from toolkit.audio.dataset import load_dataset
    from toolkit.progress import Progress
    from toolkit.specs.bundle import CERTIFICATE
    from toolkit.specs.run import Run
    from toolkit.verify.report import remarks, tables
    from toolkit.verify.verify import verify

    if threads:
        torch.set_num_threads(threads)

    with Progress() as progress:
        certificate = verify(bundle, Run.open(run_folder), load_dataset(data) if data else None, split, progress.count)
    certificate.save(bundle / CERTIFICATE)
    if as_json:
        print_json(certificate.model_dump(mode="json") | {"passed": certificate.passed, "bundle": str(bundle)})
    else:
        for table in tables(certificate):
            Console().print(table)
        for remark in remarks(certificate):
            click.echo(remark)
        click.echo(f"certificate: {bundle / CERTIFICATE}")
    context.exit(0 if certificate.passed else 1)


if __name__ == "__main__":
    main()
