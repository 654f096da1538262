"""`in_processes`: a function of a test called in two processes at once, set up as torchrun sets up its workers.

    python -m tests.gloo MODULE:FUNCTION ARGUMENT...

imports the module once and forks, so that two processes cost one import.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import traceback
from importlib import import_module
from pathlib import Path

PROCESSES = 2
ROOT = Path(__file__).parents[1]


def in_processes(target: str, *arguments: object) -> None:
    """Call `module:function` with these arguments, as text, in each process, and wait for all of them."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.gloo", target, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def fork(target: str, arguments: list[str]) -> int:
    """The processes; 0 if all of them end well, and when one does not, the others are ended."""
    module, _, name = target.partition(":")
    function = getattr(import_module(module), name)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    running = set()
    for rank in range(PROCESSES):
        if not (pid := os.fork()):
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "GROUP_RANK": "0"}
            os.environ |= {"WORLD_SIZE": str(PROCESSES), "LOCAL_WORLD_SIZE": str(PROCESSES)}
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "test"}
            try:
                function(*arguments)
            except BaseException:  # noqa: BLE001 the process ends here
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        running.add(pid)
    while running:
        pid, status = os.wait()
        running.remove(pid)
        if status:
            for other in running:
                os.kill(other, signal.SIGKILL)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(fork(sys.argv[1], sys.argv[2:]))
