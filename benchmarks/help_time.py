"""How long each verb takes to answer `--help`: what a person waits for before anything else.

The figure is the slowest verb's best of several runs, start of the interpreter included;
a bare interpreter's is beside it.
That no framework is imported is a test (tests/test_structure.py); this is the time.
Run: python -m benchmarks.help_time [--quick]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time

from toolkit.__main__ import VERBS

GOAL_S = 0.3


def best_s(arguments: list[str], runs: int) -> float:
    """Shortest wall time in seconds of several runs of the interpreter with these arguments."""
    times_s = []
    for _ in range(runs):
        start_s = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        times_s.append(time.perf_counter() - start_s)
    return min(times_s)


def main() -> None:
    """Measure, print a table, and the result as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one run of each verb in place of ten")
    runs = 1 if parser.parse_args().quick else 10

    interpreter_s = best_s(["-c", "pass"], runs)
    verbs_s = {verb: best_s(["-m", f"toolkit.{verb}", "--help"], runs) for verb in VERBS}
    print(f"{'bare interpreter':<18} {interpreter_s:6.3f} s")
    for verb, time_s in verbs_s.items():
        print(f"{verb + ' --help':<18} {time_s:6.3f} s")
    slowest_s = max(verbs_s.values())
    detail = {"runs": runs, "interpreter_s": round(interpreter_s, 3)}
    detail |= {f"{verb}_s": round(time_s, 3) for verb, time_s in verbs_s.items()}
    result = {"name": "help_time", "figure": round(slowest_s, 3), "unit": "s", "goal": GOAL_S}
    print(json.dumps({**result, "holds": slowest_s <= GOAL_S, "detail": detail}))


if __name__ == "__main__":
    main()
