"""Bring a written bundle to where it is used: into the Android demo app's assets, or into one zip file; and what goes
when another takes its place.

Not what the bundle holds, which is export.py's. Proved by tests/export/test_delivery.py.
"""

from __future__ import annotations

import shutil
import zipfile
from contextlib import suppress
from pathlib import Path

from toolkit.specs.bundle import MANIFEST, BundleManifest
from toolkit.specs.errors import UserError
from toolkit.specs.files import new_file, new_folder
from toolkit.specs.run import Run
from toolkit.specs.runtime import Runtime

SOURCES = Path("app", "src", "main")
ASSETS_BUNDLE = SOURCES / "assets" / "bundle"
"""Where the app looks for its bundle, in the folder of the Android demo."""
APP_RUNTIMES: tuple[Runtime, ...] = ("tflite", "executorch")


def assets_bundle(demo: Path) -> Path:
    """The folder of the bundle in an Android demo's assets, whether one is there or not.

    Raises:
        UserError: `demo` is no Android demo.
    """
    if not (demo / SOURCES / "AndroidManifest.xml").is_file():
        raise UserError(
            f"{demo} is no Android demo ({SOURCES / 'AndroidManifest.xml'} is missing); expected a folder like the "
            "toolkit's own: --android android_demo"
        )
    return demo / ASSETS_BUNDLE


def put_into_app(bundle: Path, demo: Path) -> Path:
    """Put what the app runs of a bundle into an Android demo's assets in place of the one there; return where it is.

    That is one `stream` file of each runtime that the app has, chosen as the app itself chooses.

    Raises:
        UserError: `bundle` is none, or holds nothing that the app runs; `demo` is no Android demo, or cannot be
            written. The bundle in there stays.
    """
    place = assets_bundle(demo)
    manifest = BundleManifest.load(bundle / MANIFEST)
    chosen = (manifest.choose(mode="stream", runtime=runtime) for runtime in APP_RUNTIMES)
    files = tuple(file for file in chosen if file)
    if not files:
        raise UserError(f"{bundle} holds no `stream` file that the Android app runs; export it with --mode stream.")
    left_out = {file.name for file in manifest.files} - {file.name for file in files}
    with new_folder(place) as folder:
        shutil.copytree(bundle, folder, ignore=shutil.ignore_patterns(*left_out), dirs_exist_ok=True)
        manifest.model_copy(update={"files": files}).save(folder / MANIFEST)
    return place


def zip_bundle(bundle: Path) -> Path:
    """Write NAME.zip beside a bundle's folder: its files, flat. The same bundle gives the same bytes.

    Raises:
        UserError: it cannot be written; a zip that was there stays.
    """
    path = zip_of(bundle)
    with new_file(path) as temporary, zipfile.ZipFile(temporary, "w") as whole:
        for file in sorted(bundle.iterdir()):
            whole.writestr(zipfile.ZipInfo(file.name), file.read_bytes(), zipfile.ZIP_DEFLATED)
    return path


def zip_of(bundle: Path) -> Path:
    """Where the zip of a bundle's folder lies."""
    return bundle.with_name(f"{bundle.name}.zip")


def goes_with(bundle: Path, run: Run) -> list[str]:
    """What an export of `run` to this folder takes away and does not bring anew; nothing where no bundle is there."""
    gone = []
    with suppress(UserError):  # none there, or none that can be read
        manifest = BundleManifest.load(bundle / MANIFEST)
        if manifest.run_hash != run.hash:
            gone.append(f"files of another Run ({manifest.run_name}, {manifest.run_hash})")
    return [*gone, *sorted(path.name for path in bundle.glob("certificate*.json"))]
