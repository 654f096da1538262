"""The verb `verify` on a bundle, and what it wrote; and bundles that were changed but hold together."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from toolkit.specs.bundle import BundleManifest
from toolkit.specs.certificate import Certificate, FileCertificate
from toolkit.specs.files import sha256
from toolkit.verify.__main__ import main


def verify_verb(bundle: Path, run: Path, *arguments: str | Path) -> Result:
    """Call `python -m toolkit.verify` in this process."""
    return CliRunner().invoke(
        main, ["--bundle", str(bundle), "--run", str(run), *(str(argument) for argument in arguments)]
    )


def certified(folder: Path) -> tuple[Certificate, dict[str, FileCertificate]]:
    """The certificate of a bundle, and its files by name."""
    certificate = Certificate.load(folder / "certificate.json")
    return certificate, {file.name: file for file in certificate.files}


def state_true_hashes(folder: Path) -> None:
    """Rewrite sizes and hashes in the manifest, so that the bundle is in order again whatever its files hold."""
    manifest = BundleManifest.load(folder / "manifest.json")
    files = [
        file.model_copy(
            update={"sha256": sha256(folder / file.name), "size_bytes": (folder / file.name).stat().st_size}
        )
        for file in manifest.files
    ]
    manifest.model_copy(update={"files": tuple(files)}).save(folder / "manifest.json")


def keep_runtimes(folder: Path, *runtimes: str) -> None:
    """Leave only their files in the manifest."""
    manifest = BundleManifest.load(folder / "manifest.json")
    files = tuple(file for file in manifest.files if file.runtime in runtimes)
    manifest.model_copy(update={"files": files}).save(folder / "manifest.json")
