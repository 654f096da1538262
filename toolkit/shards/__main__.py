"""`python -m toolkit.shards`: write recordings as shards, for data sets of millions of clips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from toolkit.cli import json_option, print_json, verb


@verb
@click.option("--data", type=click.Path(path_type=Path), help="Labelled recordings.  [default: $AEC_DATA]")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("out/shards"),
    show_default=True,
    help="Folder of the shards; one that was begun is gone on with.",
)
@click.option(
    "--sample-rate-hz",
    type=click.IntRange(1000, 192_000),
    default=32_000,
    show_default=True,
    help="The front end's: nothing is resampled when training.",
)
@click.option(
    "--window-seconds",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    help="Longer clips are cut into windows of this length; 0 keeps them whole.",
)
@click.option(
    "--form",
    type=click.Choice(["flac", "wav"]),
    default="flac",
    show_default=True,
    help="flac is smaller, wav is quicker to read; both hold 16 bit.",
)
@click.option(
    "--shard-mb", type=click.IntRange(min=1), default=500, show_default=True, help="MB of recordings for one shard."
)
@click.option("--threads", type=click.IntRange(min=1), help="Clips at a time.  [default: all cores]")
@json_option
def main(data: Path | None, out: Path, threads: int | None, as_json: bool, **options: Any) -> None:
    """Write labelled recordings as WebDataset tar files with an index; --data of train takes the folder.

    A call that was stopped goes on when it is given again. Clips that do not decode are listed in broken.csv.
    """
    from toolkit.audio.dataset import data_root, load_dataset
    from toolkit.progress import Progress
    from toolkit.shards.write import ShardOptions, write_shards

    dataset = load_dataset(data_root(data))
    with Progress() as progress:
        done = write_shards(dataset, out, ShardOptions(**options), progress.count, threads)
    if as_json:
        print_json({"folder": str(out), **done.model_dump()})
        return
    kept = f", {done.shards_kept} of them there before" if done.shards_kept else ""
    click.echo(f"{done.clips:,} clips in {done.shards:,} shards{kept}, in {out}")
    if done.broken:
        click.echo(f"  left out: {done.broken:,} that do not decode, listed in {out / 'broken.csv'}")


if __name__ == "__main__":
    main()
