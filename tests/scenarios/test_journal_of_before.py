"""A data directory that an earlier flatdeck wrote and was killed over is read, listed and taken up as it was then.

``journal_of_before`` holds that directory, every kind of record in it, with the configuration and the books it belongs
to; and what the flatdeck that wrote it said of it. It is never written again: what a user has on disk must stay
readable. Records, guards, bars and the paper venues' files are all of that time.
"""

from __future__ import annotations

import gzip
import json
import re
import shutil
import sqlite3
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.desk import Desk

HERE = Path(__file__).parent / "journal_of_before"
THEN = "2026-03-02T01:0"  # every time in it begins like this
KINDS = 18
TIME = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
NAME = re.compile(r"\bp[0-9a-z]{11}\b|\bfd[a-z0-9]{4}[a-z2-7]{26}\b")  # a plan's id, a client order id
APPROVER = re.compile(r'(?:cron |systemd )?(?:[^\s"]+ as )?[^\s"]+@[^\s"]+ \(--yes\)')
ROWS = ("accounts", "owners", "positions", "closings")
LOOKS = {
    "status": ("status",),
    "journal": ("journal",),
    "reconcile": ("reconcile", "--dry-run"),
    "cleanup": ("cleanup", "--dry-run", "--max-positions", "1"),
    "flatten": ("flatten", "--all", "--dry-run"),
    "cancel-orders": ("cancel-orders", "--all", "--dry-run"),
    "check": ("check",),
    "gate": (
        *("check-entry", "--user", "cat", "--symbol", "ETH-USD", "--side", "buy"),
        *("--amount", "1", "--leverage", "1", "--stop-loss", "0.05"),
    ),
}
TAKES_UP = ("flatten", "--user", "gus", "--yes")


@pytest.fixture
def before(tmp_path: Path) -> Desk:
    """The desk of before, in a directory of its own."""
    return unpacked(tmp_path / "desk")


def unpacked(path: Path) -> Desk:
    """A paper account's file is found by where its book is, so that it gets the name that belongs to this place."""
    shutil.unpack_archive(HERE / "desk.zip", path)
    for folder in (path / "data", path / "data" / "paper"):
        folder.chmod(0o700)
    for file in (path / "data" / "paper").iterdir():
        account, _, suffix = file.name.partition(".")
        place = blake2b(str(path / f"{account}.json").encode(), digest_size=4).hexdigest()
        file.rename(file.with_name(f"{account}-{place}.{suffix}"))
    for file in (path / "data").rglob("*.*"):
        file.chmod(0o600)
    return Desk(path)


def query(desk: Desk, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(desk.path / "data" / "journal.db")) as connection, connection:
        return connection.execute(sql).fetchall()


def said(desk: Desk, *args: str) -> dict[str, Any]:
    """The document of one command with its exit code, without what belongs to this place and this moment."""
    result = desk.call(*args, "--json")
    text = json.dumps({"code": result.exit_code, "document": json.loads(result.stdout)})
    return json.loads(timeless(text.replace(str(desk.path), "DESK")))  # type: ignore[no-any-return]


def timeless(text: str) -> str:
    """Times and names that came later are all alike. Who confirmed was called a person then."""
    text = APPROVER.sub("person", text)
    text = TIME.sub(lambda found: found[0] if found[0].startswith(THEN) else "LATER", text)
    return NAME.sub(lambda found: found[0] if found[0] in names() else "NEW", text)


@cache
def names() -> set[str]:
    """The names of that time, found in the files as they are: a database that is opened may be tidied up."""
    with zipfile.ZipFile(HERE / "desk.zip") as archive:
        written = b"\0".join(archive.read(f"data/journal.db{suffix}") for suffix in ("", "-wal"))
    return set(NAME.findall(written.decode("latin-1")))


def told(name: str) -> Any:
    """What was said then."""
    return json.loads(gzip.decompress((HERE / f"{name}.json.gz").read_bytes()))


def as_far_as_known(now: Any, then: Any) -> Any:
    """What is said now, without the keys that nobody knew then: keys may be added to a document."""
    match now, then:
        case dict(), dict():
            return {key: as_far_as_known(value, then[key]) for key, value in now.items() if key in then}
        case list(), list() if len(now) == len(then):
            return [as_far_as_known(*pair) for pair in zip(now, then, strict=True)]
    return now


def in_one_order(value: Any) -> Any:
    """The rows of a status sorted by their names: they stand in the order of the configuration now."""
    if isinstance(value, dict):
        return {key: _sorted(rows) if key in ROWS else in_one_order(rows) for key, rows in value.items()}
    return value


def _sorted(rows: Any) -> Any:
    return sorted(rows, key=lambda row: [row.get(name) or "" for name in ("id", "account", "symbol", "leg", "plan")])


def freshly_approved(desk: Desk) -> None:
    """As if the plan that was interrupted had been approved just now."""
    ((seq, text),) = query(
        desk,
        "SELECT seq, body FROM journal AS a WHERE kind = 'plan_approved'"
        " AND NOT EXISTS (SELECT 1 FROM journal AS e WHERE e.plan = a.plan AND e.kind = 'plan_ended')",
    )
    body = json.loads(text) | {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    with closing(sqlite3.connect(desk.path / "data" / "journal.db")) as connection, connection:
        connection.execute("UPDATE journal SET body = ? WHERE seq = ?", (json.dumps(body), seq))


def taken_up(desk: Desk) -> dict[str, Any]:
    """The document of the command that takes the plan up, what the journal says of each account since, and the rest."""
    (last,) = query(desk, "SELECT max(seq) FROM journal")[0]
    document = said(desk, *TAKES_UP)
    found: dict[str, Any] = {}
    for entry in said(desk, "journal")["document"]["entries"]:
        if entry.pop("seq") > last:
            found.setdefault(entry["account"] or "", []).append(entry)
    return {"document": document, "since": found, "status": said(desk, "status")}


def numbered(desk: Desk, last: int) -> Iterator[tuple[Any, ...]]:
    yield from query(desk, f"SELECT * FROM journal WHERE seq <= {last} ORDER BY seq")


def test_every_kind_of_record_is_in_it_and_still_has_its_name(before: Desk) -> None:
    kinds = {kind for (kind,) in query(before, "SELECT DISTINCT kind FROM journal")}
    assert len(kinds) == KINDS
    for kind in kinds:
        entries = before.document("journal", "--kind", kind)["entries"]
        assert {entry["kind"] for entry in entries} == {kind}


@pytest.mark.parametrize("look", LOOKS)
def test_what_only_looks_says_what_it_said_then_and_writes_nothing(before: Desk, look: str) -> None:
    files = before.files()
    then, now = in_one_order(told(look)), in_one_order(said(before, *LOOKS[look]))
    if look == "check":  # it looks at the journal and at the prices of a book now, and something is wrong there
        then["code"] = 1
        for account in now["document"]["accounts"]:
            account["checks"] = [trial for trial in account["checks"] if trial["name"] != "prices"]
    assert as_far_as_known(now, then) == then
    assert before.files() == files


def test_every_plan_of_before_is_reported_and_tells_no_money_that_nobody_wrote_down(before: Desk) -> None:
    plans = before.document("report")["plans"]
    assert {plan["state"] for plan in plans} == {"done", "something remained", "no end recorded"}
    for plan in plans[:8]:
        made = before.document("report", plan["plan"])
        assert made["approved"]["by"] == plan["by"]
        assert all(a["result"]["fee"] is None for a in made["actions"] if a["result"])
        assert made["state"] == plan["state"]


def test_a_line_of_the_audit_trail_reads_as_it_did(before: Desk) -> None:
    assert before.call("journal").stdout.splitlines() == told("lines")


def test_a_plan_that_was_interrupted_long_ago_is_found_out_about_and_ended(before: Desk) -> None:
    then = in_one_order(told("taken-up-late"))
    assert as_far_as_known(in_one_order(taken_up(before)), then) == then


def test_a_plan_that_was_interrupted_just_now_is_taken_up_and_carried_out(before: Desk) -> None:
    freshly_approved(before)
    then = in_one_order(told("taken-up-soon"))
    assert as_far_as_known(in_one_order(taken_up(before)), then) == then


def test_an_engine_that_acts_on_it_changes_nothing_of_what_was_written(before: Desk) -> None:
    (last,) = query(before, "SELECT max(seq) FROM journal")[0]
    old, epoch = list(numbered(before, last)), query(before, "SELECT value FROM meta WHERE key = 'epoch'")
    assert before.call("reconcile").exit_code == 1
    assert before.call("thaw", "bob/two", "--yes").exit_code == 0
    assert list(numbered(before, last)) == old
    assert query(before, "SELECT value FROM meta WHERE key = 'epoch'") == epoch
    assert query(before, "SELECT count(*) FROM journal")[0][0] > last
