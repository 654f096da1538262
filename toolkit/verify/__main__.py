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
@needs("export", "verify needs torch and ai-edge-litert")
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
    from rich.table import Table

    from toolkit.audio.dataset import load_dataset
    from toolkit.progress import Progress
    from toolkit.specs.bundle import CERTIFICATE
    from toolkit.specs.run import Run
    from toolkit.verify.verify import verify

    if threads:
        torch.set_num_threads(threads)

    with Progress() as progress:
        certificate = verify(bundle, Run.open(run_folder), load_dataset(data) if data else None, split, progress.count)
    certificate.save(bundle / CERTIFICATE)
    if as_json:
        print_json(certificate.model_dump(mode="json") | {"passed": certificate.passed, "bundle": str(bundle)})
    else:
        table = Table(title=f"{bundle.name}: subnet {certificate.subnet} against PyTorch, {certificate.runtime}")
        for column in ("file", "MB", "max error", "mean error", "mAP PyTorch", "mAP file", "verdict"):
            table.add_column(column, no_wrap=" " not in column)
        for file in certificate.files:
            score = file.labelled
            maps = (f"{score.pytorch:.4f}", f"{score.file:.4f}") if score else ("-", "-")
            errors = f"{file.max_error:.1e}", f"{file.mean_error:.1e}"
            verdict = "MISSED" if file.faults else "passed"
            table.add_row(file.name, f"{file.size_bytes / 1e6:.2f}", *errors, *maps, verdict)
        Console().print(table)
        for file in certificate.files:
            for fault in file.faults:
                click.echo(f"{file.name}: {fault}")
        click.echo(f"errors on: {certificate.audio}. {certificate.note}")
        click.echo(f"certificate: {bundle / CERTIFICATE}")
    context.exit(0 if certificate.passed else 1)


if __name__ == "__main__":
    main()
