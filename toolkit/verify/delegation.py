"""Which operators of a file XNNPACK takes, and which fall back to the runtime's own kernels.

Read from the file and, for TFLite, from the loaded interpreter. Proved by tests/verify/test_delegation.py.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.lower.converting import silence
from toolkit.specs.bundle import BundleFile

_DELEGATE = "DELEGATE"


@dataclass(frozen=True)
class Delegation:
    """How many parts of a graph XNNPACK runs, and what stays outside: operator names and how often."""

    parts: int
    fall_backs: dict[str, int]


def delegation(path: Path, file: BundleFile) -> Delegation | None:
    """Of a TFLite or ExecuTorch file; None for other runtimes, whose kernels are their own."""
    if file.runtime == "tflite":
        return _of_tflite(path)
    if file.runtime == "executorch":
        return _of_executorch(path)
    return None


def _of_tflite(path: Path) -> Delegation:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    operators: list[dict[str, Any]] = interpreter._get_ops_details()  # noqa: SLF001 - there is no other way to see it
    delegates = [each for each in operators if each["op_name"] == _DELEGATE]
    originals = [each for each in operators if each["op_name"] != _DELEGATE]
    makers = {int(tensor): each for each in originals for tensor in each["outputs"]}
    taken: set[int] = set()
    for delegate in delegates:
        given = {int(tensor) for tensor in delegate["inputs"]}
        reached = [int(tensor) for tensor in delegate["outputs"]]
        while reached:
            maker = makers.get(tensor := reached.pop())
            if maker is None or tensor in given or maker["index"] in taken:
                continue
            taken.add(maker["index"])
            reached += [int(tensor) for tensor in maker["inputs"] if tensor >= 0]
    return Delegation(
        len(delegates), dict(Counter(each["op_name"] for each in originals if each["index"] not in taken))
    )


def _of_executorch(path: Path) -> Delegation:
    with silence():
        from executorch.exir._serialize._program import deserialize_pte_binary
        from executorch.exir.schema import DelegateCall, KernelCall

        plan = deserialize_pte_binary(path.read_bytes()).program.execution_plan[0]
    steps = [instruction.instr_args for chain in plan.chains for instruction in chain.instructions]
    kernels = Counter(plan.operators[step.op_index].name for step in steps if isinstance(step, KernelCall))
    return Delegation(sum(isinstance(step, DelegateCall) for step in steps), dict(kernels))
