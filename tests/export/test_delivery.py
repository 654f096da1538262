"""A bundle arrives in the Android demo app's assets, or in a zip, whole or not at all."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from tests.export.test_command import contents, some_files
from tests.fakes import pick_of
from tests.tiny_bundle import export_verb
from toolkit.export.delivery import put_into_app, zip_bundle
from toolkit.specs.bundle import open_bundle
from toolkit.specs.errors import UserError
from toolkit.specs.pick import pick_path
from toolkit.specs.run import Run

pytestmark = pytest.mark.xdist_group("bundle")


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """A folder that looks like the Android demo's."""
    sources = tmp_path / "demo" / "app" / "src" / "main"
    sources.mkdir(parents=True)
    (sources / "AndroidManifest.xml").write_text("<manifest />")
    return tmp_path / "demo"


def in_assets(demo: Path) -> Path:
    """Where the app looks for its bundle."""
    return demo / "app" / "src" / "main" / "assets" / "bundle"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Conversions that take no time; what is in a file does not matter here."""
    monkeypatch.setattr("toolkit.export.export.lower", some_files)


@pytest.mark.usefixtures("quick")
def test_the_app_gets_the_stream_file_in_the_precision_of_the_pick(
    calibrated_run: Path, run: Run, demo: Path, tmp_path: Path
) -> None:
    """`--android` exports `stream` alone, in the precision of the device's pick, and puts that whole bundle in."""
    pick = pick_of(run, run.manifest.space.smallest.id)
    for precision in ("fp32", "int8"):
        wanted = pick.model_copy(update={"precision": precision})
        out = tmp_path / precision
        wanted.save(pick_path(wanted, out))
        done = export_verb("--device", "board", "--run", calibrated_run, "--android", demo, "--out", out, "--json")
        assert done.exit_code == 0, done.output
        said = json.loads(done.stdout)
        assert said["android"] == str(in_assets(demo))
        assert [file.name for file in open_bundle(in_assets(demo)).files] == [f"stream.{precision}.tflite"]
        assert contents(in_assets(demo)) == contents(Path(said["bundle"]))


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("asked", "taken"),
    [
        (("--mode", "stream", "--mode", "frames", "--precision", "fp32"), "stream.fp32.tflite"),
        (("--precision", "int8", "--precision", "fp32"), "stream.int8.tflite"),
        (("--precision", "fp16", "--precision", "fp32"), "stream.fp32.tflite"),
    ],
)
def test_the_app_gets_what_it_runs_of_what_is_asked_for(
    asked: tuple[str, ...], taken: str, calibrated_run: Path, demo: Path, tmp_path: Path
) -> None:
    """Of the modes and precisions on the command line the app gets the one file that it runs; the verb says where."""
    done = export_verb("--subnet", "smallest", "--run", calibrated_run, *asked, "--android", demo, "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert f"android: {in_assets(demo)}\n" in done.stdout
    assert [file.name for file in open_bundle(in_assets(demo)).files] == [taken]
    others = {f"{mode}.{precision}.tflite" for mode in ("stream", "frames") for precision in ("int8", "fp16", "fp32")}
    assert others & set(contents(in_assets(demo))) == {taken}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("--mode", "clip"), "the Android app runs `stream` files; expected --mode stream with --android."),
        (("--runtime", "onnx"), "expected --runtime tflite with --android."),
    ],
)
def test_a_bundle_that_the_app_cannot_run_is_not_made(
    asked: tuple[str, str], message: str, calibrated_run: Path, demo: Path, tmp_path: Path
) -> None:
    """Options without a file that the app runs are refused in one line, before anything is made."""
    done = export_verb("--subnet", "smallest", "--run", calibrated_run, *asked, "--android", demo, "--out", tmp_path)
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert not in_assets(demo).exists()
    assert not (tmp_path / "bundles").exists()


def test_a_folder_that_is_no_android_demo_is_refused(calibrated_run: Path, tmp_path: Path) -> None:
    """A folder without the app's manifest gets nothing, in one line and before anything is exported."""
    other = tmp_path / "other"
    other.mkdir()
    done = export_verb("--subnet", "smallest", "--run", calibrated_run, "--android", other, "--out", tmp_path)
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert f"{other} is no Android demo" in done.stderr
    assert not list(other.iterdir())
    assert not (tmp_path / "bundles").exists()


def test_an_earlier_bundle_is_replaced_whole_or_stays(tiny_bundle: Path, demo: Path, tmp_path: Path) -> None:
    """Nothing of the earlier bundle is left beside the new one; a bundle that cannot be read changes nothing."""
    in_assets(demo).mkdir(parents=True)
    (in_assets(demo) / "of-an-earlier-bundle.tflite").write_bytes(b"old")
    with pytest.raises(UserError):
        put_into_app(tmp_path / "nowhere", demo)
    assert contents(in_assets(demo)) == {"of-an-earlier-bundle.tflite": b"old"}
    put_into_app(tiny_bundle, demo)
    assert in_assets(demo).joinpath("labels.txt").read_bytes() == (tiny_bundle / "labels.txt").read_bytes()
    assert [file.mode for file in open_bundle(in_assets(demo)).files] == ["stream"]
    assert "of-an-earlier-bundle.tflite" not in contents(in_assets(demo))
    assert [path.name for path in in_assets(demo).parent.iterdir()] == ["bundle"], "nothing half-written stays"


def test_a_zip_holds_the_bundle_flat_and_always_the_same(tiny_bundle: Path, tmp_path: Path) -> None:
    """The zip beside the folder holds its files and no folder; made again of the same files it has the same bytes."""
    made = []
    for place in ("here", "there"):
        bundle = tmp_path / place / "doorbell"
        shutil.copytree(tiny_bundle, bundle, copy_function=shutil.copyfile)
        path = zip_bundle(bundle)
        assert path == tmp_path / place / "doorbell.zip"
        with zipfile.ZipFile(path) as whole:
            whole.extractall(tmp_path / place / "out")
            assert all("/" not in name for name in whole.namelist())
        assert contents(tmp_path / place / "out") == contents(tiny_bundle)
        made.append(path.read_bytes())
    assert made[0] == made[1]


@pytest.mark.usefixtures("quick")
def test_the_verb_writes_a_zip_and_says_where(calibrated_run: Path, tmp_path: Path) -> None:
    """`--zip` writes NAME.zip beside the bundle's folder, a whole bundle."""
    done = export_verb(
        "--subnet", "smallest", "--run", calibrated_run, "--mode", "stream", "--zip", "--out", tmp_path, "--json"
    )
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["zip"] == f"{said['bundle']}.zip"
    with zipfile.ZipFile(said["zip"]) as whole:
        whole.extractall(tmp_path / "unzipped")
    assert open_bundle(tmp_path / "unzipped") == open_bundle(Path(said["bundle"]))


def test_a_zip_that_cannot_be_written_leaves_the_one_there(tiny_bundle: Path, tmp_path: Path) -> None:
    """A bundle that breaks off leaves neither a broken zip nor a temporary file."""
    bundle = tmp_path / "doorbell"
    shutil.copytree(tiny_bundle, bundle)
    before = zip_bundle(bundle).read_bytes()
    (bundle / "zzz").mkdir()
    with pytest.raises(IsADirectoryError):
        zip_bundle(bundle)
    assert (tmp_path / "doorbell.zip").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"doorbell", "doorbell.zip"}
