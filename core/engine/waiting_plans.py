"""Converts the plans that wait for a person to the journal's rows and back."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from core.journal.tables import StateRows, encodable
from core.link.messages import PlanRow

_PLAN: msgspec.json.Decoder[PlanRow] = msgspec.json.Decoder(PlanRow)


def rows_of(plan: str, row: PlanRow | None) -> StateRows:
    """Return the row of a waiting plan. ``row`` is None for a plan that waits no more."""
    text = None if row is None else msgspec.json.encode(encodable(msgspec.to_builtins(row))).decode()
    return StateRows(waiting={plan: text})


def plans_of(texts: Iterable[str]) -> tuple[list[PlanRow], list[str]]:
    """Return the readable plans, and the errors of the unreadable plans."""
    found, wrong = list[PlanRow](), list[str]()
    for text in texts:
        try:
            found.append(_PLAN.decode(text))
        except msgspec.MsgspecError as error:
            wrong.append(str(error))
    return found, wrong
