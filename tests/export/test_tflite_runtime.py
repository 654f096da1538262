"""TFLite files run on tflite-runtime 2.14 too, which boards have whose system has no wheel of ai-edge-litert."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from tests.tiny_bundle import WINDOW_SAMPLES, export_verb, sounds
from toolkit.lower.own_environment import OwnEnvironment
from toolkit.specs.bundle import bundle_folder
from toolkit.specs.run import Run

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
TFLITE_RUNTIME = OwnEnvironment("tflite-runtime", ROOT / "requirements/apart/tflite-runtime.txt", python=(3, 11))
MODES = ("clip", "stream")
Scores = dict[str, NDArray[np.float32]]


def play(interpreter: Any, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores [inferences, L] of a waveform [S], the state handed on."""
    run = interpreter.get_signature_runner()
    state = {name: np.zeros(detail["shape"], np.float32) for name, detail in run.get_input_details().items()}
    samples, scores = state["samples"].shape[1], []
    for start in range(0, len(waveform) - samples + 1, samples):
        state["samples"] = waveform[None, start : start + samples]
        answer = run(**state)
        scores.append(answer["scores"][0])
        state = {name: answer.get("next_" + name, value) for name, value in state.items()}
    return np.stack(scores)


PLAY_THERE = f"""
from __future__ import annotations
import sys
import numpy as np
from tflite_runtime.interpreter import Interpreter
{inspect.getsource(play)}
heard = np.load(sys.argv[1])
found = {{}}
for path in sys.argv[3:]:
    for name in heard.files:
        found[path + " " + name] = play(Interpreter(path, num_threads=1), heard[name])
np.savez(sys.argv[2], **found)
"""


@pytest.fixture(scope="module")
def heard() -> dict[str, NDArray[np.float32]]:
    """10 s of each sound."""
    return sounds(WINDOW_SAMPLES / 32_000)


@pytest.fixture(scope="module")
def bundle(calibrated_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with TFLite files in every precision."""
    out = tmp_path_factory.mktemp("out")
    done = export_verb("--subnet", "smallest", "--run", calibrated_run, "--precision", "all", "--out", out)
    assert done.exit_code == 0, done.output
    return bundle_folder(out, Run.open(calibrated_run), "smallest")


@pytest.fixture(scope="module")
def there(
    bundle: Path, heard: dict[str, NDArray[np.float32]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Scores]]:
    """By file and sound: scores that tflite-runtime gives, in an environment that pip has made."""
    folder = tmp_path_factory.mktemp("there")
    np.savez(folder / "heard.npz", **heard)  # type: ignore[arg-type]
    files = [path.name for path in sorted(bundle.glob("*.tflite"))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        TFLITE_RUNTIME.install(note=lambda _: None, installer="pip")
        done = TFLITE_RUNTIME.run(["-c", PLAY_THERE, folder / "heard.npz", folder / "found.npz", *files], bundle, {})
        assert done.returncode == 0, done.stderr
        found = np.load(folder / "found.npz")
        yield {file: {name: found[f"{file} {name}"] for name in heard} for file in files}


def here(path: Path, heard: dict[str, NDArray[np.float32]], kernels: OpResolverType) -> Scores:
    """Scores that ai-edge-litert gives, with XNNPACK or with TFLite's own kernels."""
    return {
        name: play(Interpreter(str(path), num_threads=1, experimental_op_resolver_type=kernels), waveform)
        for name, waveform in heard.items()
    }


def furthest(found: Scores, expected: Scores) -> float:
    """Greatest difference of scores."""
    return max(float(np.abs(found[name] - expected[name]).max()) for name in expected)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_float_files_give_the_same_scores(
    there: dict[str, Scores], bundle: Path, heard: dict[str, NDArray[np.float32]], mode: str, precision: str
) -> None:
    """What computes in float gives the scores of ai-edge-litert to 1e-4."""
    name = f"{mode}.{precision}.tflite"
    assert furthest(there[name], here(bundle / name, heard, OpResolverType.AUTO)) <= 1e-4


@pytest.mark.parametrize("mode", MODES)
def test_int8_files_give_the_scores_of_the_same_kernels(
    there: dict[str, Scores], bundle: Path, heard: dict[str, NDArray[np.float32]], mode: str
) -> None:
    """tflite-runtime runs int8 on TFLite's own kernels, which round otherwise than XNNPACK's: scores are within 0.05 of
    what those kernels give here. The float front end is XNNPACK's there, so a value at the edge of a step may fall on
    the other side.
    """
    name = f"{mode}.int8.tflite"
    own = here(bundle / name, heard, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    assert furthest(there[name], own) <= 0.05


@pytest.mark.parametrize("mode", MODES)
def test_dynamic_int8_files_stay_near_float(
    there: dict[str, Scores], bundle: Path, heard: dict[str, NDArray[np.float32]], mode: str
) -> None:
    """Dynamic int8 rounds activations as they come, each runtime in its own way: scores stay within 0.05 of float."""
    expected = here(bundle / f"{mode}.fp32.tflite", heard, OpResolverType.AUTO)
    found = there[f"{mode}.int8-dynamic.tflite"]
    assert furthest(found, expected) <= 0.05
