"""TFLite files through ONNX and onnx2tf, in an environment of its own, are those that litert-torch makes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.tiny_bundle import WINDOW_SAMPLES, Played, export_verb, sounds
from toolkit.lower.own_environment import OwnEnvironment, cache_folder, find_python
from toolkit.lower.via_onnx2tf import ONNX2TF, tflite_of_onnx
from toolkit.specs.bundle import bundle_folder, open_bundle
from toolkit.specs.errors import UserError
from toolkit.specs.run import Run

NEVER = OwnEnvironment("nothing", ONNX2TF.lock, python=(3, 99))
SECONDS = WINDOW_SAMPLES / 32_000


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder of this module's own, where onnx2tf is installed when it is first needed."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="module")
def made(cache: Path, calibrated_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A bundle made through onnx2tf, and what was said on stderr."""
    assert not any(cache.iterdir())
    out = tmp_path_factory.mktemp("onnx2tf")
    via = ("--via", "onnx2tf", "--precision", "fp32")
    done = export_verb("--subnet", "smallest", "--run", calibrated_run, *via, "--out", out)
    assert done.exit_code == 0, done.output
    return bundle_folder(out, Run.open(calibrated_run), "smallest"), done.stderr


@pytest.mark.system
def test_it_is_installed_on_first_use_in_the_cache_folder(made: tuple[Path, str], cache: Path) -> None:
    """One line says what is installed and where; afterwards nothing is installed again."""
    folder = cache / "aec-toolkit" / ONNX2TF.folder.name
    assert re.fullmatch(rf"installing onnx2tf \(\d+ packages, once\) in {re.escape(str(folder))}\n", made[1])
    ONNX2TF.install(note=pytest.fail)


@pytest.mark.system
@pytest.mark.parametrize("mode", ["clip", "stream"])
def test_files_agree_with_litert_torch(made: tuple[Path, str], tiny_bundle: Path, mode: str) -> None:
    """Same names, order and shapes; on silence, noises, tones and a chirp, scores and state are the same to 1e-4."""
    bundle, other = open_bundle(made[0]), open_bundle(tiny_bundle)
    name = f"{mode}.fp32.tflite"
    (file,), (expected_file,) = ([each for each in one.files if each.name == name] for one in (bundle, other))
    assert (file.inputs, file.outputs) == (expected_file.inputs, expected_file.outputs)
    assert file.sha256 != expected_file.sha256
    found, expected = Played(made[0] / name), Played(tiny_bundle / name)
    for sound, waveform in sounds(SECONDS).items():
        if mode == "clip":
            np.testing.assert_allclose(found.clip(waveform), expected.clip(waveform), rtol=0, atol=1e-4, err_msg=sound)
            continue
        for answer, wanted in zip(found.stream(waveform), expected.stream(waveform), strict=True):
            np.testing.assert_allclose(answer["scores"], wanted["scores"], rtol=0, atol=1e-4, err_msg=sound)
            for state in (key for key in wanted if key.startswith("next_")):
                np.testing.assert_allclose(answer[state], wanted[state], rtol=1e-4, atol=1e-4, err_msg=state)


@pytest.mark.system
@pytest.mark.usefixtures("cache")
def test_a_failed_conversion_names_the_operator() -> None:
    """An operator that onnx2tf has not is named in one line."""
    shapes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 8]) for name in ("x", "y")]
    nodes = [helper.make_node("Sin", ["x"], ["a"]), helper.make_node("Frobnicate", ["a"], ["y"], domain="ours")]
    graph = helper.make_graph(nodes, "graph", shapes[:1], shapes[1:])
    domains = [helper.make_opsetid("", 18), helper.make_opsetid("ours", 1)]
    model = helper.make_model(graph, opset_imports=domains, ir_version=9)
    onnx.checker.check_model(model)
    with pytest.raises(UserError, match="it has no operator for Frobnicate"):
        tflite_of_onnx(model.SerializeToString(), ["x"], ["y"])


@pytest.mark.parametrize(
    "wanted",
    [("--precision", "int8"), ("--precision", "all"), ("--precision", "fp32", "--runtime", "onnx")],
    ids=["int8", "all", "no-tflite"],
)
def test_only_float_tflite_files_are_made(calibrated_run: Path, tmp_path: Path, wanted: tuple[str, ...]) -> None:
    """Other precisions and runtimes are refused in one line that says what is expected, before anything is written."""
    via = ("--via", "onnx2tf", *wanted)
    done = export_verb("--subnet", "smallest", "--run", calibrated_run, *via, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "expected --runtime tflite and --precision fp32 with --via onnx2tf" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_without_that_python_it_says_so() -> None:
    """Where the Python that the lock is for is missing, the message names it and what needs it."""
    with pytest.raises(UserError, match=r"nothing runs on Python 3\.99 and no python3\.99 was found"):
        find_python(NEVER.name, NEVER.python)


def test_a_failed_installation_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where packages are not to be had, the reason is told in one line and no half environment stays."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    lock = tmp_path / "lock.txt"
    lock.write_text(f"no-such-package-of-ours==1.0 --hash=sha256:{'0' * 64}\n")
    environment = OwnEnvironment("thing", lock, python=(3, 11))
    with pytest.raises(UserError, match=r"^thing could not be installed: .+") as failed:
        environment.install(note=lambda _: None)
    assert "\n" not in str(failed.value)
    assert not environment.folder.exists()


@pytest.mark.parametrize(("stated", "expected"), [("/elsewhere", "/elsewhere"), ("relative", "~"), (None, "~")])
def test_the_cache_folder_is_the_accounts(monkeypatch: pytest.MonkeyPatch, stated: str | None, expected: str) -> None:
    """XDG_CACHE_HOME says where, unless it is no absolute path; without it, ~/.cache."""
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if stated is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", stated)
    parent = Path("/home/somebody/.cache") if expected == "~" else Path(expected)
    assert cache_folder() == parent / "aec-toolkit"


def test_the_lock_holds_versions_and_hashes_and_no_address() -> None:
    """Each package of the lock has one version and its hashes; no line names an address."""
    text = ONNX2TF.lock.read_text()
    locked = re.findall(r"^([a-z0-9-]+)==\S+ ; [^\\]+\\\n    --hash=sha256:[0-9a-f]{64}", text, flags=re.MULTILINE)
    assert len(locked) == len(set(locked)) == len(re.findall(r"^[^ #]", text, flags=re.MULTILINE))
    assert "onnx2tf" in locked
    assert not re.search(r"://|file:|@ |--index|--find-links", text)
