"""Bring a written bundle to where it is used: into the Android demo app's assets, or into one zip file.

Not what the bundle holds, which is export.py's. Proved by tests/export/test_delivery.py.
"""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

from toolkit.specs.errors import UserError
from toolkit.specs.files import new_file, new_folder

SOURCES = Path("app", "src", "main")
ASSETS_BUNDLE = SOURCES / "assets" / "bundle"
"""Where the app looks for its bundle, in the folder of the Android demo."""


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
    """Copy a bundle into an Android demo's assets in place of the one there, and return where it is.

    Raises:
        UserError: `demo` is no Android demo, or cannot be written; the bundle in there stays.
    """
    place = assets_bundle(demo)
    with new_folder(place) as folder:
        shutil.copytree(bundle, folder, dirs_exist_ok=True)
    return place


def zip_bundle(bundle: Path) -> Path:
    """Write NAME.zip beside a bundle's folder: its files, flat. The same bundle gives the same bytes.

    Raises:
        UserError: it cannot be written; a zip that was there stays.
    """
    path = bundle.with_name(f"{bundle.name}.zip")
    with new_file(path) as temporary, zipfile.ZipFile(temporary, "w") as whole:
        for file in sorted(bundle.iterdir()):
            whole.writestr(zipfile.ZipInfo(file.name), file.read_bytes(), zipfile.ZIP_DEFLATED)
    return path
