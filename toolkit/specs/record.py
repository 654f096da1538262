"""Every noun of the toolkit is a frozen, strict, versioned record that reports all faults of a file at once.

A near-miss field name is named ("latncy_ms: unknown; did you mean latency_ms?"). Not for data of a size: arrays stay
in safetensors. Proved by tests/specs/test_record.py.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
import types
import typing
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.files import write_text


class Part(BaseModel):
    """A frozen piece of a record: unknown fields and silently converted types are faults."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    def digest(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the canonical JSON text."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @classmethod
    def from_text(cls, text: str, *, origin: str, toml: bool = False) -> Self:
        """Parse JSON (or TOML) text; `origin` names it in messages.

        Raises:
            UserError: it is not JSON/TOML or breaks the schema; every fault is listed.
            MismatchError: it was written for another schema.
        """
        try:
            raw = tomllib.loads(text) if toml else json.loads(text)
        except (ValueError, RecursionError) as error:
            kind = "TOML" if toml else "JSON"
            raise UserError(f"{origin} is not {kind}: {error}. Mend the file or write it anew.") from error
        if not isinstance(raw, dict):
            raise UserError(f"{origin}: found {type(raw).__name__}, expected a {cls.__name__} with named fields.")
        cls._check_schema(raw, origin)
        try:
            return cls.model_validate_json(json.dumps(raw, default=str))
        except ValidationError as error:
            raise UserError(_all_faults(cls, origin, error)) from None

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a JSON or TOML (`.toml`) file; raises as `from_text` does, and UserError when it cannot be read."""
        return cls.from_text(read_text(path), origin=str(path), toml=path.suffix == ".toml")

    @classmethod
    def _check_schema(cls, raw: dict[str, Any], origin: str) -> None:
        """Parts carry no schema number; records do."""


class Record(Part):
    """A part that stands in a file of its own, under a schema number; `SCHEMA` rises with each incompatible change."""

    SCHEMA: ClassVar[int] = 1

    schema_version: int = 1

    @classmethod
    def _check_schema(cls, raw: dict[str, Any], origin: str) -> None:
        version = raw.get("schema_version", cls.SCHEMA)
        if version != cls.SCHEMA:
            raise MismatchError(
                f"{origin} has schema {version!r}, this toolkit reads {cls.__name__} schema {cls.SCHEMA}. "
                "Use the toolkit version that wrote it, or write it anew."
            )

    def save(self, path: Path) -> None:
        """Write as JSON with two spaces of indent, whole or not at all."""
        write_text(path, self.to_json())

    def to_json(self) -> str:
        """JSON text that `load` reads back to an equal record."""
        return self.model_dump_json(indent=2) + "\n"


def read_text(path: Path) -> str:
    """Text of a file people named.

    Raises:
        UserError: it is missing, is a folder or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist. Check the path.") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text.") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}.") from error


def _all_faults(model: type[BaseModel], origin: str, error: ValidationError) -> str:
    faults = []
    for fault in error.errors():
        where = ".".join(str(step) for step in fault["loc"]) or "(whole)"
        if fault["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(fault["loc"][-1]), _field_names(model, fault["loc"][:-1]), n=1)
            faults.append(f"{where}: unknown field" + (f"; did you mean {near[0]}?" if near else ""))
        elif fault["type"] == "missing":
            faults.append(f"{where}: missing")
        else:
            faults.append(f"{where}: {fault['msg']}, found {fault['input']!r:.60}")
    count = f"{len(faults)} fault" + ("s" if len(faults) > 1 else "")
    return f"{origin} is not a good {model.__name__} ({count}):\n" + "\n".join(f"  {fault}" for fault in faults)


def _field_names(model: type[BaseModel], steps: tuple[int | str, ...]) -> list[str]:
    """Names that were possible at the place `steps` lead to, for the near-miss hint."""
    here: Any = model
    for step in steps:
        if isinstance(here, type) and issubclass(here, BaseModel) and step in here.model_fields:
            here = _element(here.model_fields[str(step)].annotation)
    return list(here.model_fields) if isinstance(here, type) and issubclass(here, BaseModel) else []


def _element(annotation: Any) -> Any:
    """The record type inside `X`, `X | None`, `tuple[X, ...]`, `dict[str, X]`; anything else as it is."""
    if typing.get_origin(annotation) in (tuple, list, dict, typing.Union, types.UnionType):
        for inner in typing.get_args(annotation):
            found = _element(inner)
            if isinstance(found, type) and issubclass(found, BaseModel):
                return found
    return annotation
