"""`python -m toolkit.listen`: a bundle hears a file or the microphone."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import json_option, needs, print_json, verb
from toolkit.specs.errors import StableDeviceError

if TYPE_CHECKING:
    from toolkit.events.decoder import Event
    from toolkit.listen.ear import Ear
    from toolkit.listen.microphone import Microphone


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= 1:
        raise click.BadParameter(f"{text!r} is not a number above 0, 1 at most.")
    return value


@verb
@click.option("--bundle", required=True, type=click.Path(path_type=Path), metavar="DIR", help="What export wrote.")
@click.option("--wav", type=click.Path(path_type=Path), metavar="FILE", help="wav, flac, ogg or mp3 at any rate.")
@click.option("--mic", is_flag=True, help="Listen to the sound card until Ctrl-C.")
@click.option(
    "--precision",
    type=click.Choice(["int8", "int8-dynamic", "fp16", "fp32"]),
    help="Which file; otherwise the pick's precision, else int8, else the bundle's first.",
)
@click.option("--threshold", type=_share, metavar="0..1", help="Replaces the bundle's own threshold of every label.")
@json_option
@needs("device", "ai-edge-litert, sounddevice")
def main(bundle: Path, wav: Path | None, mic: bool, precision: Any, threshold: float | None, as_json: bool) -> None:
    """Listen to a file or a microphone and print events with start, end and confidence.

    Audio runs through the bundle in chunks, in constant memory. Times are known to one hop of the bundle.
    """
    if (wav is None) == (not mic):
        raise click.UsageError("Give a recording with --wav FILE, or listen live with --mic.")

    from toolkit.listen.ear import Ear

    ear = Ear(bundle, precision, threshold)
    if ear.uncalibrated and threshold is None:
        click.echo(f"not calibrated, default thresholds decide: {', '.join(ear.uncalibrated)}", err=True)
    if wav is not None:
        events, dropped_s, overflows, went_away = _hear_file(ear, wav), 0.0, 0, False
    else:
        events, microphone = _hear_microphone(ear, as_json)
        dropped_s, overflows, went_away = microphone.dropped_s, microphone.overflows, microphone.went_away
    _print(ear, events, dropped_s, overflows, as_json, live=wav is None)
    if went_away:
        raise StableDeviceError("the microphone stopped: it was unplugged or failed. Plug it in and listen again.")


def _print(ear: Ear, events: list[Event], dropped_s: float, overflows: int, as_json: bool, *, live: bool) -> None:
    cost = ear.cost()
    if as_json:
        manifest, rate = ear.manifest, ear.sample_rate_hz
        result = {
            "bundle": manifest.name,
            "subnet": manifest.subnet,
            "file": ear.file.name,
            "heard_s": ear.heard_s,
            "dropped_s": dropped_s,
            "overflows": overflows,
            "window_s": manifest.window_samples / rate,
            "hop_s": manifest.hop_samples / rate,
            "events": [vars(event) | {"calibrated": event.label not in ear.uncalibrated} for event in events],
            "cost": cost.as_json(),
        }
        print_json(result)
        return
    for event in () if live else events:  # a microphone's were printed as they ended
        click.echo(_line(event))
    if not events:
        click.echo("no events: no score reached its label's threshold")
    click.echo(
        f"\n{ear.heard_s:.1f} s heard with {ear.file.name} on {cost.runtime}: an inference took "
        f"{cost.inference_p50_ms:.1f} ms (p50), {cost.inference_p90_ms:.1f} ms (p90); "
        f"{100 * cost.core_share:.1f} % of one core (measured here)"
    )
    if dropped_s:
        click.echo(f"{dropped_s:.1f} s of sound were dropped: this machine is too slow for the bundle", err=True)
    if overflows:
        click.echo(f"sound was lost {overflows} times: the card was not read in time, this machine is busy", err=True)


def _hear_file(ear: Ear, path: Path) -> list[Event]:
    import contextlib

    import soundfile

    from toolkit.audio.decode import stream_audio
    from toolkit.progress import Progress

    total = 0
    if path.is_file():  # looking into a pipe would use it up
        with contextlib.suppress(soundfile.LibsndfileError, TypeError):  # stream_audio says what is wrong, in one line
            total = int(soundfile.info(path).duration)
    events: list[Event] = []
    with Progress() as progress:
        for moment in ear.hear(stream_audio(path, ear.sample_rate_hz, ear.manifest.hop_samples)):
            progress.count("seconds heard", int(moment.heard_s), total)
            events += moment.ended
    return sorted(events, key=lambda event: (event.start_s, event.label))


def _hear_microphone(ear: Ear, quiet: bool) -> tuple[list[Event], Microphone]:
    import signal

    from toolkit.listen.microphone import Microphone

    microphone = Microphone(ear.sample_rate_hz)
    before = signal.signal(signal.SIGINT, lambda *_: microphone.stop())
    events: list[Event] = []
    try:
        click.echo("listening; stop with Ctrl-C", err=True)
        for moment in ear.hear(microphone):
            for label in sorted(moment.began):
                click.echo(f"{moment.heard_s:8.2f} s  {label} ...", err=True)
            events += moment.ended
            for event in moment.ended if not quiet else ():
                click.echo(_line(event))
    finally:
        signal.signal(signal.SIGINT, before)
    return events, microphone


def _line(event: Event) -> str:
    return f"{event.start_s:8.2f} - {event.end_s:8.2f} s  {event.confidence:.2f}  {event.label}"


if __name__ == "__main__":
    main()
