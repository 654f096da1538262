"""What every conversion with other people's libraries needs: silence, and one error for whatever they raise.

Proved by tests/lower/test_formats.py.
"""

from __future__ import annotations

import logging
import os
import re
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from toolkit.specs.errors import UserError

# What the libraries read from the environment: no progress bars on stdout, no C++ log lines on stderr.
_SILENCE = {
    "LITERT_TORCH_SHOW_PROGRESS": "n",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TQDM_DISABLE": "1",
}
_MISSING_OPERATOR = re.compile(
    r"Lowering not found: ([\w.:]+)"  # litert-torch
    r"|Operator (?:torch\._ops\.)?([\w.:]+) is not in Core ATen"  # ExecuTorch: torch has no decomposition either
    r"|Missing out variants: \{'([\w.:]+)"  # ExecuTorch: it has no kernel
    r"|PyTorch convert function for op '([\w.]+)' not implemented|Unsupported fx node (\w+)"  # coremltools
    r"|No ONNX function found for <OpOverload\(op='([\w.]+)"  # torch.onnx
)
_COLOUR = re.compile("\x1b\\[[0-9;]*m")


@contextmanager
def converting(target: str, module: str) -> Iterator[None]:
    """Silence around a conversion of `module` to a `target` file.

    Raises:
        UserError: a library is missing, or the conversion failed; the message names the operator where it is known.
    """
    try:
        with silence():
            yield
    except UserError:
        raise
    except ImportError as error:
        raise UserError(
            f"making {target} files needs {error.name}. Install it with: pip install 'aec-toolkit[export]'"
        ) from error
    except Exception as error:  # torch.export, the lowerings and MLIR each raise classes of their own
        with silence():  # coremltools leaves a temporary folder open, which would complain when it is found
            traceback.clear_frames(error.__traceback__)
        missing = _missing_operator(error)
        said = _COLOUR.sub("", str(error)).strip().partition("\n")[0]
        reason = f"it has no operator for {missing}" if missing else said
        raise UserError(f"{target} cannot hold {module}: {reason}. Write its forward with other operators.") from error


def _missing_operator(error: BaseException | None) -> str | None:
    """The operator that an error names, or one that it came of."""
    while error is not None:
        found = _MISSING_OPERATOR.search(str(error))
        if found:
            return next(group for group in found.groups() if group)
        error = error.__cause__
    return None


@contextmanager
def silence() -> Iterator[None]:
    """Keep the talk of other people's libraries, their warnings about their own code included, out of ours."""
    before = {name: os.environ.get(name) for name in _SILENCE}
    disabled = logging.root.manager.disable
    os.environ.update(_SILENCE)
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
