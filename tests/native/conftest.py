"""Runners that are built once, and the files they run."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from tests.lower.toys import streaming_piece, toy_piece
from toolkit.lower.formats import lower
from toolkit.lower.piece import Quantization
from toolkit.native.build import NativeAgent, native_agent
from toolkit.specs.runtime import Runtime

Build = Callable[[Runtime, str], NativeAgent]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The runner of a runtime for an architecture, in a cache of the tests' own."""
    folder = tmp_path_factory.mktemp("runners")
    return lambda runtime, machine: native_agent(runtime, machine, note=lambda _: None, cache=folder)


@pytest.fixture(scope="session")
def toy() -> Callable[[Runtime], bytes]:
    """The toy: waveform to scores."""
    return cache(lambda runtime: next(iter(lower(runtime, toy_piece(), ["fp32"], Quantization()))))


@pytest.fixture(scope="session")
def stream() -> Callable[[Runtime], bytes]:
    """The streaming convolution for chunks of 8 frames; its names are not in the alphabet's order."""
    return cache(lambda runtime: next(iter(lower(runtime, streaming_piece(8), ["fp32"], Quantization()))))
