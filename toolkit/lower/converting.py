"""What every conversion with other people's libraries needs: silence, and one error for whatever they raise.

Proved by tests/lower/test_formats.py.
"""

from __future__ import annotations

import logging
import os
import re
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
    r"Lowering not found: (\S+)|for operator '?([\w.:]+)|No decompositions registered for the complex-valued input"
    r"|PyTorch convert function for op '([\w.]+)' not implemented|kernel for operator '([\w:.]+)'"
)


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
        found = _MISSING_OPERATOR.search(str(error))
        missing = next((group for group in found.groups() if group), None) if found else None
        reason = f"it has no operator for {missing}" if missing else str(error).strip().partition("\n")[0]
        raise UserError(f"{target} cannot hold {module}: {reason}. Write its forward with other operators.") from error


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
