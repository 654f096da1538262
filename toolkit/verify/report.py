"""A certificate as tables for people, 80 columns wide. Proved by tests/verify/test_verify.py."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from rich.table import Table

from toolkit.specs.certificate import Certificate, EventScore, FileCertificate

NOTHING = "-"


def tables(certificate: Certificate) -> Iterator[Table]:
    """Errors, mAP, memory and verdicts; then events, where they were judged."""
    yield _table(
        f"subnet {certificate.subnet} against PyTorch, {certificate.machine}",
        ("file", "MB", "max\nerror", "mAP,\nPyTorch", "mAP,\nfile", "peak\nMB", "verdict"),
        (_scores(file) for file in certificate.files),
    )
    heard = [(file.name, file.listening) for file in certificate.files if file.listening]
    if heard:
        _, first = heard[0]
        yield _table(
            f"{first.events} events in {first.hours:.2f} hours: event F1; false alarms an hour and label",
            ("file", "PyTorch", "file"),
            ((name, _event_score(each.pytorch), _event_score(each.file)) for name, each in heard),
        )


def remarks(certificate: Certificate) -> Iterator[str]:
    """Sentences under the tables: faults, what falls back from XNNPACK, what ran, what the errors were measured on."""
    if certificate.nothing_ran:
        yield "not passed: nothing was compared with PyTorch, since no file of the bundle ran"
    for file in certificate.files:
        yield from (f"{file.name}: {fault}" for fault in file.faults)
    outside: dict[str, list[str]] = defaultdict(list)
    for file in certificate.files:
        if file.fall_backs:
            outside[", ".join(f"{count} {name}" for name, count in sorted(file.fall_backs.items()))].append(file.name)
    for operators, names in outside.items():
        yield f"outside XNNPACK in {', '.join(names)}: {operators}"
    if certificate.window_points is not None:
        yield f"a 10 s window alone against the stream, PyTorch: {certificate.window_points:+.2f} points of mAP"
    runtimes = sorted({file.runtime for file in certificate.files if file.runtime})
    yield f"errors on: {certificate.audio}. {certificate.note}".strip()
    yield f"ran in: {', '.join(runtimes) or 'nothing'}"


def _table(title: str, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Table:
    table = Table(title=title, box=None, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, no_wrap=column != "verdict")
    for row in rows:
        table.add_row(*row)
    return table


def _scores(file: FileCertificate) -> tuple[str, ...]:
    score = file.labelled
    maps = (f"{score.pytorch:.4f}", f"{score.file:.4f}") if score else (NOTHING, NOTHING)
    error = NOTHING if file.max_error is None else f"{file.max_error:.0e}"
    peak = NOTHING if file.peak_bytes is None else f"{file.peak_bytes / 1e6:.0f}"
    return file.name, f"{file.size_bytes / 1e6:.2f}", error, *maps, peak, file.verdict


def _event_score(score: EventScore) -> str:
    if score.f1 is None:
        return "no calibrated label occurs"
    return f"{score.f1:.3f}; {score.false_alarms_per_hour:.2f}"
