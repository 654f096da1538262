"""`LocalTarget`: this machine. The agent runs as a process of its own, with this Python.

Proved by tests/targets/test_local.py.
"""

from __future__ import annotations

import platform
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path

from toolkit.specs.errors import StableDeviceError
from toolkit.targets import base

AGENT = Path(__file__).with_name("agent.py")


class LocalTarget:
    """Runs the agent on this machine."""

    name = "local"

    def machine(self) -> str:
        """This machine's architecture."""
        return platform.machine()

    def run_agent(self, pack: Path, schedule: base.Schedule) -> Generator[base.Start | base.Visit, None, None]:
        """Run the agent on the files of the folder `pack`; see `Target.run_agent`."""
        with (
            tempfile.TemporaryFile("w+", encoding="utf-8") as talk,
            subprocess.Popen(
                # -P: the agent's own folder is not a place to import from.
                [sys.executable, "-P", str(AGENT), str(pack), schedule.model_dump_json()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=talk,
                encoding="utf-8",
            ) as process,
        ):
            try:
                for number, line in enumerate(process.stdout or ()):
                    yield base.read_line(line, first=number == 0, origin=self.name, error=StableDeviceError)
                code = process.wait()
            finally:
                process.kill()
            if code:
                talk.seek(0)
                raise StableDeviceError(_reason(code, talk.read()))


def _reason(code: int, talk: str) -> str:
    if code < 0:
        return f"measuring on local was ended by signal {-code}. If that is 9, memory ran out: close other programs."
    last = talk.strip().rpartition("\n")[2] or f"exit code {code}"
    return f"measuring on local stopped: {last}"
