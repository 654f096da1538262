"""An emulated Raspberry Pi 4: an aarch64 userland under qemu-user, and what the board tells of itself.

proot hands each program to qemu, which else the kernel would do (binfmt_misc), and which needs root.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.targets.login import write_login
from tests.targets.sshd import Sshd, ssh_server

PROGRAMS = ("ssh", "sshd", "ssh-keygen", "proot", "qemu-aarch64-static")
_MAKE_ROOT = Path(__file__).parents[2] / "scripts" / "make-arm64-root"
MODEL = "Raspberry Pi 4 Model B Rev 1.4"
_CORE = """processor\t: {core}
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

"""


def cpuinfo() -> str:
    """Its /proc/cpuinfo, with as many cores as this machine has."""
    cores = range(os.cpu_count() or 1)
    return "".join(_CORE.format(core=core) for core in cores) + f"Model\t\t: {MODEL}\n"


@contextmanager
def emulated_pi(folder: Path) -> Iterator[Sshd]:
    """A board behind a real sshd; it sees `folder` under the same name."""
    with ssh_server(folder, write_login(folder, _shell(folder))) as server:
        yield server


def _shell(folder: Path) -> str:
    """The command line of its shell.

    Runtimes ask /proc/cpuinfo what cores there are, which before qemu 8.2 is this machine's: LiteRT crashes on it. The
    core is named because qemu 7.2's default has SME, in which ExecuTorch's int8 kernels come out wrong.
    """
    made = subprocess.run([_MAKE_ROOT], stdout=subprocess.PIPE, text=True, check=True)
    cores = range(os.cpu_count() or 1)
    told = {
        "cpuinfo": cpuinfo(),
        "sys/firmware/devicetree/base/model": f"{MODEL}\0",
        "sys/class/thermal/thermal_zone0/temp": "48312\n",
        "sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
    }
    told |= {f"sys/devices/system/cpu/{which}": f"0-{cores[-1]}\n" for which in ("possible", "present", "online")}
    for core in cores:
        frequency = f"sys/devices/system/cpu/cpu{core}/cpufreq/"
        told |= {frequency + "scaling_cur_freq": "1500000\n", frequency + "scaling_governor": "ondemand\n"}
    for name, text in told.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    binds = ("/proc", "/dev", str(folder), f"{folder}/sys:/sys", f"{folder}/cpuinfo:/proc/cpuinfo")
    words = ["proot", "-q", "qemu-aarch64-static -cpu cortex-a72", "-r", made.stdout.strip(), "-w", "/"]
    return shlex.join([*words, *(word for bind in binds for word in ("-b", bind)), "env", "PATH=/usr/bin", "sh"])
