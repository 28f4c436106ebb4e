"""Texts for people and the document for programs about a dust conversion. Plain values in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from core.plans.conversion import Conversion, ConversionOutcome, Converted
from core.units import plain
from tui.output.columns import columns
from tui.output.documents import Document, builtins
from tui.present.numbers import number
from tui.present.sanitize import sanitize

NO_CONVERSION = "the venue has no conversion of small balances that a program may ask for"
_ENDS = {
    ConversionOutcome.CONVERTED: "converted",
    ConversionOutcome.REFUSED: "not converted",
    ConversionOutcome.UNKNOWN: "NOT KNOWN",
    ConversionOutcome.PENDING: "not finished",
}


class Preview(Struct, frozen=True):
    """One account's dust. ``way_out`` is the venue's own; ``open`` are assets of earlier requests without an end."""

    account: str
    error: str | None = None
    way_out: str | None = None
    conversions: tuple[Conversion, ...] = ()
    open: tuple[str, ...] = ()
    converts: bool = False  # the venue has a conversion
    read: bool = True  # the venue answered, or nobody had to ask it


def preview_text(found: Sequence[Preview], width: int | None) -> str:
    """Return the table of the conversions, then a sentence for each account that has a remark."""
    rows = [("account", "asset", "quantity", "gets about", "fee", "into")]
    rows += [
        (p.account, c.asset, plain(c.quantity), number(c.gets), number(c.fee), c.into)
        for p in found
        for c in p.conversions
    ]
    lines = columns(rows, right="quantity,gets about,fee", width=width) if len(rows) > 1 else []
    if not lines:
        lines = ["There is no dust that can be converted."]
    return "\n".join([*lines, *(line for p in found for line in _remarks(p))])


def _remarks(found: Preview) -> list[str]:
    lines = []
    if found.error is not None:
        lines.append(f"{found.account}: {found.error}.")
    elif not found.converts:
        lines.append(f"{found.account}: {found.way_out or NO_CONVERSION}.")
    if found.open:
        assets = ", ".join(found.open)
        lines.append(f"{found.account}: an earlier conversion of {assets} has no known outcome; it is looked up.")
    return [sanitize(line) for line in lines]


def dust_question(found: Sequence[Preview]) -> str:
    count = sum(len(p.conversions) for p in found)
    accounts = sum(bool(p.conversions) for p in found)
    what = f"{count} balance{'s' * (count != 1)} on {accounts} account{'s' * (accounts != 1)}"
    return f"Convert {what}? It costs a fee and cannot be taken back."


def results_text(ended: Mapping[str, Sequence[Converted]], width: int | None) -> str:
    rows = [("account", "asset", "quantity", "outcome", "got", "fee", "")]
    rows += [
        (account, r.asset, plain(r.quantity), _ENDS[r.outcome], number(r.gets), number(r.fee), r.error or "")
        for account, some in ended.items()
        for r in some
    ]
    return (
        "\n".join(columns(rows, right="quantity,got,fee", width=width)) if len(rows) > 1 else "Nothing was converted."
    )


def dust_document(
    found: Sequence[Preview], ended: Mapping[str, Sequence[Converted]], *, dry_run: bool, confirmed: bool = True
) -> Document:
    """Return the document; ``confirmed`` is in it only if a person should have confirmed and did not."""
    made: Document = {
        "dry_run": dry_run,
        "accounts": [_account(p) for p in found],
        "results": [{"account": account, **builtins(r)} for account, some in ended.items() for r in some],
    }
    return made if confirmed else {**made, "confirmed": False}


def _account(found: Preview) -> Document:
    keys = ("asset", "quantity", "into", "gets", "fee")
    rows = [builtins(c) for c in found.conversions]
    return {
        "account": found.account,
        "error": found.error,
        "way_out": found.way_out or (None if found.converts or found.error else NO_CONVERSION),
        "conversions": [{key: row[key] for key in keys} for row in rows],
    }
