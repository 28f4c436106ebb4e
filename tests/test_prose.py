"""The words of the product: no metaphors in names, and docstrings that define or instruct; a failure names the line."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PRODUCT = ("core", "brokers", "tui")

# Words that say a mood and not a job. The glossary has the word to use instead.
METAPHORS = re.compile(
    r"(?<![A-Za-z])(?:sentry|almanac|aftermath|guardian|logbook|outbox|mishaps?|overheard|planbox|pulse|twins?|hub)"
    r"(?![A-Za-z])",
    re.IGNORECASE,
)
# A first line that leaves out its noun: the reader has to guess what "it" or "those" is.
NOUNLESS = re.compile(r"(?:It|Ones|Those|These|That|What|Whether|Which|Of|As|Such|Until|Where|Who|Whose)\b")
NOUNLESS_COMMENT = re.compile(r"#\s+(?:it|one|ones|those|these|that which|what is|such)\b(?! \d)")


def sources() -> list[Path]:
    """Every Python file of the product."""
    return sorted(path for folder in PRODUCT for path in (ROOT / folder).rglob("*.py"))


def metaphors(text: str) -> Iterator[str]:
    """Yield the line and the word of each metaphor, in names and in prose."""
    for number, line in enumerate(text.splitlines(), 1):
        for part in re.split(r"[^A-Za-z]+", line):
            if METAPHORS.fullmatch(part):
                yield f"{number}: {part}"


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield each docstring with the line on which it begins; the help shows those of actions and commands to users."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (
            node.name.startswith("action_") or any("group" in ast.unparse(made) for made in node.decorator_list)
        ):
            continue
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield node.body[0].lineno, text


def nounless(text: str) -> Iterator[str]:
    """Yield docstrings whose first line leaves out its noun, and comments that begin with a pronoun."""
    for line, docstring in docstrings(ast.parse(text)):
        if NOUNLESS.match(docstring):
            yield f"{line}: {docstring.splitlines()[0][:60]!r}"
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and NOUNLESS_COMMENT.match(token.string):
            yield f"{token.start[0]}: {token.string[:60]!r}"


def in_product(check: object) -> list[str]:
    """Return what a check finds in the product, file by file."""
    assert callable(check)
    return [
        f"{path.relative_to(ROOT)}:{found}" for path in sources() for found in check(path.read_text(encoding="utf-8"))
    ]


def test_no_name_and_no_sentence_of_the_product_is_a_metaphor() -> None:
    found = in_product(metaphors)
    assert not found, "\n" + "\n".join(found)


def test_every_docstring_and_comment_begins_with_its_noun_or_its_verb() -> None:
    found = in_product(nounless)
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("bad", "good"),
    [
        ("self._sentry = None", "self._exits = None"),
        ("# asks the guardian", "# asks the monitor"),
        ("class Hub:", "github = 1"),
    ],
)
def test_a_metaphor_is_found(bad: str, good: str) -> None:
    assert list(metaphors(bad))
    assert not list(metaphors(good))


@pytest.mark.parametrize(
    ("bad", "good"),
    [
        ('"""Those that are left."""', '"""Return the orders that are left."""'),
        ('"""Whether it is held."""', '"""Return True if the position is held."""'),
        ("x = 1  # it was sent", "x = 1  # the order was sent"),
        ("x = 1  # one that waits", "x = 1  # a plan that waits"),
    ],
)
def test_a_sentence_without_its_noun_is_found(bad: str, good: str) -> None:
    assert list(nounless(bad))
    assert not list(nounless(good))
