"""The loopback venue's bodies against the part of Alpaca's published schema that is at hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PATH = Path(__file__).parents[4] / "shared" / "data" / "venues" / "alpaca" / "openapi-subset.json"
_TYPES = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}
_NEWER = {"AssetClass", "Exchange", "AccountStatus", "OrderStatus"}  # vocabularies that grew since the schema was made


class Schema:
    """``faults`` yields what a body lacks or has wrong. Fields that the schema does not have are let pass."""

    def __init__(self, path: Path = PATH) -> None:
        self._schemas: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["components"]["schemas"]

    def faults(self, name: str, body: object) -> Iterator[str]:
        yield from self._object(name, self._schemas[name], body)

    def _object(self, where: str, schema: dict[str, Any], body: object) -> Iterator[str]:
        if not isinstance(body, dict):
            yield f"{where} is {body!r}, no object"
            return
        yield from (f"{where} has no {key}" for key in schema.get("required", ()) if key not in body)
        for key, value in body.items():
            if key in schema["properties"]:
                yield from self._value(f"{where}.{key}", schema["properties"][key], value)

    def _value(self, where: str, schema: dict[str, Any], value: object) -> Iterator[str]:
        if name := schema.get("$ref", "").rpartition("/")[2]:
            if name in _NEWER:
                return
            schema = self._schemas[name]
        if value is None:
            if schema.get("nullable") is not True and schema.get("enum") is None:
                yield f"{where} is null"
            return
        if schema.get("type") == "object" and "properties" in schema:
            yield from self._object(where, schema, value)
        elif not isinstance(value, _TYPES[schema["type"]]):
            yield f"{where} is {value!r}, no {schema['type']}"
        elif "enum" in schema and value not in schema["enum"]:
            yield f"{where} is {value!r}, which the schema does not know"
        elif isinstance(value, str) and len(value) < schema.get("minLength", 0):
            yield f"{where} is too short"
        elif schema.get("type") == "array":
            for n, item in enumerate(value):  # type: ignore[arg-type]  # it is a list
                yield from self._value(f"{where}[{n}]", schema["items"], item)
