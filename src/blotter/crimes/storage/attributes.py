"""Plain values as DynamoDB's attribute values, and back: what a result item is made of.

Numbers come back as int or float, because pages and JSON want them so; boto3's own converter makes Decimals. Types
that this application never writes are read as they are. Independent of tables and results.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def to_item(values: Mapping[str, Any]) -> dict[str, Any]:
    """Named values as DynamoDB's client takes an item or a map; what is None is left out."""
    return {name: to_attribute(value) for name, value in values.items() if value is not None}


def to_attribute(value: Any) -> dict[str, Any]:
    """A plain value as a DynamoDB attribute value; probabilities keep six decimals."""
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, int):
        return {"N": str(value)}
    if isinstance(value, float):
        return {"N": f"{value:.6f}"}
    if isinstance(value, list):
        return {"L": [to_attribute(entry) for entry in value]}
    if isinstance(value, dict):
        return {"M": to_item(value)}
    raise TypeError(f"no attribute value for {type(value).__name__}")


def from_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item or a map as DynamoDB's client gives it, in plain values."""
    return {name: _plain(value) for name, value in item.items()}


_READERS: dict[str, Any] = {
    "S": str,
    "N": lambda text: float(text) if not text.lstrip("-").isdigit() else int(text),
    "BOOL": bool,
    "NULL": lambda _: None,
    "L": lambda entries: [_plain(entry) for entry in entries],
    "M": from_item,
}


def _plain(value: Mapping[str, Any]) -> Any:
    ((kind, content),) = value.items()
    reader = _READERS.get(kind)
    return content if reader is None else reader(content)
