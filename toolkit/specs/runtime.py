"""`Runtime` and `Precision`: which program runs a model file, and in what its classifier's numbers are held.

Which pairs can be made is `toolkit.lower.formats`'. Proved by tests/lower/test_formats.py.
"""

from __future__ import annotations

from typing import Literal

Runtime = Literal["tflite", "executorch", "coreml", "onnx"]
Precision = Literal["fp32", "fp16", "int8", "int8-dynamic", "int8-weights"]
"""`fp16` halves the weights (in Core ML the arithmetic too); `int8` quantizes weights and activations with fixed
ranges, `int8-dynamic` activations as they come, `int8-weights` the weights alone. The front end stays float in all."""
