"""`DeviceProfile`: what one device is, with a source for each figure, and the budget people have on it.

Data, not code: `devices/*.toml`. Proved by tests/specs/test_device.py.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from toolkit.specs.errors import UserError
from toolkit.specs.record import Part, Record
from toolkit.specs.runtime import Precision, Runtime
from toolkit.specs.shipped import DEVICES

NOT_VALIDATED = "not validated"
MODEL_NOTE = "device model, "
"""How the note of a modelled row begins; its error band follows."""


def error_band(notes: Iterable[str]) -> str:
    """The error band of modelled rows, from their notes."""
    bands = {note.removeprefix(MODEL_NOTE) for note in notes if note.startswith(MODEL_NOTE)}
    return "; ".join(sorted(bands)) or NOT_VALIDATED


class Budget(Part):
    """Upper bounds on one subnet, its front end included; a bound that is not given does not bind.

    `max_core_share` is the share of one core that always-on listening takes in `stream` mode.
    """

    max_latency_ms: float | None = Field(None, gt=0)
    max_core_share: float | None = Field(None, gt=0, le=64)
    max_memory_mb: float | None = Field(None, gt=0)
    max_size_mb: float | None = Field(None, gt=0)
    max_params: int | None = Field(None, gt=0)
    min_params: int | None = Field(None, ge=0)
    max_macs: int | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.min_params is not None and self.max_params is not None and self.min_params > self.max_params:
            raise ValueError(f"min_params {self.min_params} is above max_params {self.max_params}")
        return self


def cores_in(mask: str) -> tuple[int, ...]:
    """Numbers of the cores in an affinity mask: 4 and 5 of `0x30`."""
    bits = int(mask, 16)
    return tuple(number for number in range(bits.bit_length()) if bits >> number & 1)


class CoreCluster(Part):
    """Cores of one kind; `mask` is the affinity mask of all of them, caches are given where a source is known."""

    core: str
    count: int = Field(ge=1)
    clock_ghz: float = Field(gt=0)
    mask: str = Field(pattern=r"^0x[0-9a-f]+$")
    l1d_kb: int | None = Field(None, gt=0)
    l2_kb: int | None = Field(None, gt=0)
    """Shared within the cluster."""


class RuntimeOnDevice(Part):
    """A runtime and the version that people have on this device."""

    runtime: Runtime
    version: str


class KernelModel(Part):
    """What one core does in one precision, and what it could do at best."""

    peak_macs_per_cycle: float = Field(gt=0)
    macs_per_cycle: dict[Literal["dense", "pointwise", "depthwise"], float]
    """Best rate in practice of k x k, 1 x 1 and depthwise convolutions."""
    channel_tile: int = Field(ge=1)
    """Output channels that the kernels compute together; a rest costs a whole tile."""
    memory_mb_s: float = Field(gt=0)
    cache_mb_s: float = Field(gt=0)
    """Of maps that fit the cache."""
    operator_us: float = Field(ge=0)
    """To start one operator."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if missing := [kind for kind in ("dense", "pointwise", "depthwise") if kind not in self.macs_per_cycle]:
            raise ValueError(f"macs_per_cycle has no rate for {', '.join(missing)}")
        rates = self.macs_per_cycle.values()
        if not 0 < min(rates) <= max(rates) <= self.peak_macs_per_cycle:
            raise ValueError(f"rates must lie above 0 and not above the peak of {self.peak_macs_per_cycle}")
        if self.cache_mb_s < self.memory_mb_s:
            raise ValueError(f"cache_mb_s {self.cache_mb_s} is below memory_mb_s {self.memory_mb_s}")
        return self


class DeviceModel(Part):
    """Numbers behind modelled costs, for one core of the listening cluster."""

    kernels: str
    """Whose kernels compute, as published rows are told apart: xnnpack."""
    cache_kb: int = Field(gt=0)
    computing_by_threads: float = Field(ge=0, le=1)
    """T threads compute T to this power times as fast."""
    moving_by_threads: float = Field(ge=0, le=1)
    precisions: dict[Precision, KernelModel]
    error_band: dict[Precision, str] = Field({})
    """What the model was off by on published rows of this device that it was not fitted to."""

    def band(self, precision: Precision) -> str:
        """For people; a device's own rows or none."""
        return self.error_band.get(precision, NOT_VALIDATED)


class DeviceProfile(Record):
    """One device: what search and profile know of it without touching it.

    `host`, any machine, knows a budget only; what it is stands in the environment of each measurement.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str
    soc: str | None = None
    clusters: tuple[CoreCluster, ...] = ()
    listening_cluster: int = Field(0, ge=0)
    """Index of the cluster that always-on listening runs on."""
    ram_mb: int | None = Field(None, gt=0)
    runtimes: tuple[RuntimeOnDevice, ...] = ()
    budget: Budget
    model: DeviceModel | None = None
    sources: dict[str, str]
    """Where each field comes from: `field` or `field.part` to source."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.clusters and self.listening_cluster >= len(self.clusters):
            raise ValueError(f"listening_cluster {self.listening_cluster}, but there are {len(self.clusters)} clusters")
        if self.model and not (self.clusters and self.runtimes):
            raise ValueError("a model needs clusters and runtimes")
        facts = ("soc", "clusters", "ram_mb", "runtimes", "budget", "model")
        stated = {name for name in facts if getattr(self, name)}
        sourced = {name.split(".")[0] for name in self.sources}
        if missing := sorted(stated - sourced):
            raise ValueError(f"sources are missing for {', '.join(missing)}")
        if unknown := sorted(sourced - set(type(self).model_fields)):
            raise ValueError(f"sources name unknown fields: {', '.join(unknown)}")
        return self

    @property
    def cluster(self) -> CoreCluster:
        """The cluster that listens."""
        return self.clusters[self.listening_cluster]

    @property
    def modelled_runtime(self) -> Runtime | None:
        """Whose costs its model gives: the first of its runtimes; None without a model."""
        return self.runtimes[0].runtime if self.model else None

    def can_model(self, runtime: Runtime, precision: Precision) -> bool:
        """Whether its model gives costs of a runtime in a precision; the front end is in fp32 in all."""
        known = self.model.precisions if self.model else {}
        return runtime == self.modelled_runtime and {precision, "fp32"} <= set(known)


def profile_paths(folder: Path | None = None) -> dict[str, Path]:
    """Files of all profiles by name: those that are shipped, and before them those in `folder` (`--devices`).

    Raises:
        UserError: there is no such folder.
    """
    if folder and not folder.is_dir():
        raise UserError(f"{folder} is no folder; --devices names one that holds profiles, NAME.toml.")
    folders = [folder] if folder else []
    return {path.stem: path for place in (DEVICES, *folders) for path in sorted(place.glob("*.toml"))}


def load_profile(name: str, folder: Path | None = None) -> DeviceProfile:
    """The profile `name` from `folder` (`--devices`) or from those that are shipped.

    Raises:
        UserError: unknown device (the known ones are listed), no such folder, or a file that breaks the schema.
    """
    paths = profile_paths(folder)
    if name not in paths:
        near = difflib.get_close_matches(name, paths, n=1)
        hint = f" Did you mean {near[0]}?" if near else " Describe your own in a TOML file and pass --devices DIR."
        raise UserError(f"unknown device {name!r}; known: {', '.join(sorted(paths))}.{hint}")
    profile = DeviceProfile.load(paths[name])
    if profile.name != name:
        raise UserError(f"{paths[name]} says name = {profile.name!r}; a profile's file bears its name.")
    return profile
