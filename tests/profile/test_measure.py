"""From an agent's lines to a table: which timings count, what is kept, what is refused."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from tests.fakes import fake_run, fake_tflite
from toolkit.profile.measure import QUICK, Effort, measured_table
from toolkit.specs.cost import CostTable, Environment
from toolkit.specs.device import load_profile
from toolkit.specs.errors import StableDeviceError, UserError
from toolkit.specs.files import sha256
from toolkit.specs.pack import PACK, LayerPack, PackedLayer
from toolkit.specs.run import Run, RunManifest
from toolkit.targets import Schedule, Start, Visit
from toolkit.targets.local import LocalTarget

EFFORT = Effort(rounds=3, warmups=1, runs=2, seconds=1.0, note="")
ENVIRONMENT = Environment(
    machine="aarch64",
    cpu="board",
    system="Linux",
    python="3.9.2",
    runtime="tflite",
    runtime_version="2.14.0",
    threads=2,
    core_mask="0xc",
    governor="performance",
    clock_mhz=1500.0,
    temperature_c=41.0,
    load_average=0.0,
    started_utc="2026-01-01T00:00:00Z",
)


class FakeTarget:
    """Says what it is told to."""

    def __init__(self, answer: Callable[[Schedule], list[Start | Visit]]) -> None:
        self.answer = answer
        self.schedule: Schedule | None = None

    def machine(self) -> str:
        """An ARM board."""
        return "aarch64"

    def run_agent(self, pack: Path, schedule: Schedule) -> Generator[Start | Visit, None, None]:
        """The lines, one by one."""
        self.schedule = schedule
        yield from self.answer(schedule)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunManifest:
    """A Run whose layers are measured."""
    return Run.open(fake_run(tmp_path_factory.mktemp("run"))).manifest


@pytest.fixture(scope="module")
def pack(run: RunManifest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack whose files are all the same small one."""
    folder = tmp_path_factory.mktemp("pack")
    entries = []
    for layer in run.space.all_layers(run.front_end, len(run.labels), "stream"):
        path = folder / f"{layer.name}.tflite"
        path.write_bytes(fake_tflite(16))
        entries.append(PackedLayer(layer=layer, file=path.name, sha256=sha256(path)))
    LayerPack(
        runtime="tflite",
        precision="int8",
        mode="stream",
        front_end=run.front_end.fingerprint,
        made_with={},
        layers=tuple(entries),
    ).save(folder / PACK)
    return folder


def rising(schedule: Schedule) -> list[Start | Visit]:
    """In round n every timing of file k is 10 k + n, after a warm-up of a second."""
    visits: list[Start | Visit] = [
        Visit(file=file, warmups_us=(1e6,), latencies_us=(10.0 * k + n, 10.0 * k + n))
        for n in range(schedule.rounds)
        for k, file in enumerate(schedule.files)
    ]
    return [Start(environment=ENVIRONMENT, base_bytes=1_000_000), *visits]


def table_of(target: FakeTarget | LocalTarget, pack: Path, run: RunManifest, effort: Effort = EFFORT) -> CostTable:
    """The table that a target gives."""
    return measured_table(load_profile("host"), target, pack, run, effort, 2, lambda *_: None)


def test_rows_are_medians_of_all_rounds_with_the_raw_timings_kept(pack: Path, run: RunManifest) -> None:
    """Warm-ups are kept apart; the environment is the device's."""
    rows = list(table_of(FakeTarget(rising), pack, run).rows.values())
    assert len(rows) == len(run.space.all_layers(run.front_end, len(run.labels), "stream"))
    for k, row in enumerate(rows):
        assert row.kind == "measured"
        assert row.measurement
        assert row.measurement.latencies_us == tuple(10.0 * k + n for n in (0, 0, 1, 1, 2, 2))
        assert row.measurement.warmups_us == (1e6,) * 3
        assert row.measurement.environment == ENVIRONMENT
        assert row.latency_us == statistics.median(row.measurement.latencies_us)
        assert row.file_bytes + row.activation_bytes > 0


def test_the_key_is_of_what_measured(pack: Path, run: RunManifest) -> None:
    """Runtime version, cores and base memory are the agent's; device, mode and precision are what was asked."""
    key = table_of(FakeTarget(rising), pack, run).key
    assert (key.device, key.mode, key.precision, key.threads) == ("host", "stream", "int8", 2)
    assert (key.runtime_version, key.core_mask, key.runtime_base_bytes) == ("2.14.0", "0xc", 1_000_000)
    assert (key.space, key.front_end, key.label_count) == (run.space, run.front_end.fingerprint, len(run.labels))


def test_a_quick_pass_says_so_in_every_row(pack: Path, run: RunManifest) -> None:
    """A coarse row cannot be taken for a fine one."""
    rows = table_of(FakeTarget(rising), pack, run, QUICK).rows.values()
    assert all(row.note.startswith("quick") for row in rows)


def test_a_device_is_measured_on_the_cluster_that_listens(pack: Path, run: RunManifest) -> None:
    """The profile's mask decides on the cores; `host` leaves them to the agent."""
    target = FakeTarget(rising)
    measured_table(load_profile("rpi4"), target, pack, run, EFFORT, 2, lambda *_: None)
    assert target.schedule
    assert target.schedule.cores == (2, 3)
    table_of(target, pack, run)
    assert not target.schedule.cores


def test_progress_counts_visits(pack: Path, run: RunManifest) -> None:
    """From none to all."""
    seen: list[tuple[int, int]] = []
    target = FakeTarget(rising)

    def report(what: str, done: int, total: int) -> None:
        assert what == "measuring int8 stream"
        seen.append((done, total))

    measured_table(load_profile("host"), target, pack, run, EFFORT, 1, report)
    assert target.schedule
    assert seen == [(done, target.schedule.visits) for done in range(target.schedule.visits + 1)]


@pytest.mark.parametrize("lost", [slice(1, None), slice(None, -1), slice(None, 0)], ids=["start", "end", "all"])
def test_a_run_that_is_not_whole_gives_no_table(lost: slice, pack: Path, run: RunManifest) -> None:
    """A row without timings is never made up."""
    one_round = Effort(rounds=1, warmups=1, runs=2, seconds=1.0, note="")
    with pytest.raises(StableDeviceError, match="before it had measured every layer"):
        table_of(FakeTarget(lambda schedule: rising(schedule)[lost]), pack, run, one_round)


def test_a_damaged_pack_is_not_measured(pack: Path, run: RunManifest, tmp_path: Path) -> None:
    """Files are checked before they are timed."""
    (tmp_path / PACK).write_text((pack / PACK).read_text())
    with pytest.raises(UserError, match="missing or damaged"):
        table_of(FakeTarget(rising), tmp_path, run)


def test_on_this_machine_it_measures_for_real(pack: Path, run: RunManifest) -> None:
    """With the local target every row holds timings of this machine."""
    effort = Effort(rounds=1, warmups=1, runs=3, seconds=1.0, note="")
    table = table_of(LocalTarget(), pack, run, effort)
    timings = [row.measurement for row in table.rows.values()]
    assert all(measurement and len(measurement.latencies_us) == 3 for measurement in timings)
    assert table.key.runtime_base_bytes > 1_000_000
