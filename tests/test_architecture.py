"""The rules of the project that no other tool checks; a failure names file and line.

Each check is tried on a sample that breaks it. Directions between modules are contracts of import-linter, in
``pyproject.toml``.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PRODUCT = ("core", "brokers", "tui")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

LONGEST_FILE = 350
LONGEST_FUNCTION = 50
MOST_METHODS = 15
FRAMEWORK_METHODS = re.compile(r"(on|action|watch|check|validate|key)_\w+|compose|render\w*|get_content_\w+")
DATA_CLASSES = {"Struct", "Protocol", "Enum", "StrEnum", "IntEnum"}  # many fields or members are no god object

IMPURE = {
    *("asyncio", "concurrent", "multiprocessing", "select", "selectors", "signal", "subprocess", "threading"),
    *("os", "pathlib", "random", "secrets", "shutil", "sys", "tempfile", "time", "uuid"),
    *("aiohttp", "aiosqlite", "httpx", "requests", "socket", "sqlite3", "ssl", "urllib", "websockets"),
    *("alpaca", "ccxt", "keyring", "pydantic", "textual"),
}
PURE = (
    *("core/*.py", "core/*/rules.py"),
    *(f"core/{package}/*.py" for package in ("market", "portfolio", "exits", "plans", "ladder", "link")),
    *("brokers/*/wire*.py", "brokers/*/exchanges/*_wire.py", "tui/present/*.py"),
)
# Parsers of an adapter: of their adapter they may import other parsers only, and so neither its client nor what acts.
PARSERS = (
    *("brokers/alpaca/wire*.py", "brokers/ccxt/wire*.py"),
    *("brokers/ccxt/exchanges/*_wire.py", "brokers/ccxt/exchanges/*_table.py"),
    "brokers/ccxt/exchanges/kraken_margin.py",
)
VOCABULARY = "errors|events|ids|model|ports|records|settings|units|valuation"
REPLICAS = (
    "tui/app.py",
    "tui/console_actions.py",
    "tui/feed.py",
    "tui/present/*.py",
    "tui/screens/*.py",
    "tui/widgets/*.py",
)
SEEN_BY_REPLICAS = re.compile(
    rf"core\.(?:link|plans|exits\.view|{VOCABULARY})(?:\.|$)"
    r"|tui\.(?:feed|keys|process_signals|terminal_driver|crash_log|console_actions|present|screens|widgets|app)(?:\.|$)"
)

# Where a binary fraction is right: bars and ratios go through TA-Lib; a duration in seconds is no money.
FLOATS = {
    "core/market/bars.py": "TA-Lib works on floats, and bars are its input",
    "core/market/indicators.py": "TA-Lib works on floats",
    "core/exits/*.py": "ratios of volatility out of the indicators",
    "core/config/values.py": "durations, latencies and probabilities of the configuration",
    "brokers/paper/faults.py": "probabilities and latencies of planted faults",
    "core/ladder/moves.py": "the pause between two questions, in seconds",
}

SECRETS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{30,}|\bsk-[A-Za-z0-9]{24,}"
    r"|(?i:api_?key|secret|token|passw(?:or)?d)\w*[\"']?\s*[:=]\s*[\"'][A-Za-z0-9+/=_-]{32,}[\"']"
)
PRIVATE = re.compile(r"(?<![\w.~-])/(?:work|root)/|\b(?i:issue) #?\d+\b")
VENDORS = {"ccxt", "alpaca", "aiohttp", "textual"}


def sources(*folders: str) -> list[Path]:
    """Every Python file of these folders."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    """The path as people write it."""
    return path.relative_to(ROOT).as_posix()


def tracked() -> list[Path]:
    """The files that are in the repository; without git there is nothing to say about them."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("git is not available")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    paths = [ROOT / name for name in listed.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def text_of(path: Path) -> str:
    """What the file says; a file that is not text says nothing."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


# ------------------------------------------------------------------------------------------------ the checks


def long_functions(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > LONGEST_FUNCTION:
                yield f"{node.lineno}: {node.name} has {lines} lines, {LONGEST_FUNCTION} are allowed"


def _last(node: ast.expr) -> str:
    target = node.value if isinstance(node, ast.Subscript) else node
    return target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")


def wide_classes(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef) or DATA_CLASSES & {_last(base) for base in node.bases}:
            continue
        functions = [item for item in node.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)]
        functions = [f for f in functions if "property" not in map(_last, f.decorator_list)]  # data, to who reads it
        public = [f.name for f in functions if not f.name.startswith("_") and not FRAMEWORK_METHODS.fullmatch(f.name)]
        if len(public) > MOST_METHODS:
            yield f"{node.lineno}: {node.name} has {len(public)} public methods, {MOST_METHODS} are allowed"


def imports_of(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every module that is imported, with its line, wherever in the file that happens."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.lineno, node.module or ""


def imports_among(tree: ast.Module, banned: set[str]) -> Iterator[str]:
    for line, module in imports_of(tree):
        if module.partition(".")[0] in banned:
            yield f"{line}: imports {module}"


def past_the_link(tree: ast.Module) -> Iterator[str]:
    """Yield what a replica imports of flatdeck beside the link, the plans, the vocabulary and other replicas."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        ours = [m for m in modules if m.partition(".")[0] in PRODUCT]
        yield from (f"{node.lineno}: {m}" for m in ours if not SEEN_BY_REPLICAS.match(m))


def beside_parsers(tree: ast.Module) -> Iterator[str]:
    """Yield what a parser imports of the adapters beside other parsers."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            modules = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for module in modules:
            name = f"{module.replace('.', '/')}.py"
            is_parser = any(fnmatch(name, pattern) for pattern in PARSERS)
            if name.startswith("brokers/") and (ROOT / name).is_file() and not is_parser:
                yield f"{node.lineno}: {module}"


def floats(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float":
            yield f"{node.lineno}: calls float()"


def mocks(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            if any(name == "mock" or name.startswith("unittest.mock") for name in names):
                yield f"{node.lineno}: imports a mock; use a fake or a loopback venue"
        elif isinstance(node, ast.Call) and _last(node.func) in {"setattr", "patch", "object"} and node.args:
            target = node.args[0]
            text = target.value if isinstance(target, ast.Constant) else ast.unparse(target)
            if str(text).partition(".")[0] in VENDORS:
                yield f"{node.lineno}: patches {text}; use a fake or a loopback venue"


def undocumented(tree: ast.Module) -> Iterator[str]:
    if tree.body and not ast.get_docstring(tree):
        yield "1: no docstring says what the module is for"


def matches(pattern: re.Pattern[str], text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        if found := pattern.search(line):
            yield f"{number}: {found.group()[:40]!r}"


# --------------------------------------------------------------------------------------- the project obeys them


def in_files(paths: list[Path], check: Callable[[ast.Module], Iterator[str]]) -> list[str]:
    return [
        f"{name_of(path)}:{found}" for path in paths for found in check(ast.parse(path.read_text(encoding="utf-8")))
    ]


def in_texts(paths: list[Path], pattern: re.Pattern[str]) -> list[str]:
    return [f"{name_of(path)}:{found}" for path in paths for found in matches(pattern, text_of(path))]


def told(broken: list[str]) -> None:
    assert not broken, "\n" + "\n".join(broken)


def files(*patterns: str) -> list[Path]:
    """Return the files that any of these globs names."""
    return sorted({path for pattern in patterns for path in ROOT.glob(pattern)})


def test_no_file_is_so_long_that_it_holds_two_concepts() -> None:
    counts = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in sources(*PRODUCT)}
    told(
        [f"{name}: {lines} lines, {LONGEST_FILE} are allowed" for name, lines in counts.items() if lines > LONGEST_FILE]
    )


def test_no_function_is_so_long_that_it_does_two_things() -> None:
    told(in_files(sources(*PRODUCT), long_functions))


def test_no_class_is_a_god_object() -> None:
    told(in_files(sources(*PRODUCT), wide_classes))


def test_pure_modules_know_no_clock_no_dice_no_disk_and_no_network() -> None:
    told([f"{pattern}: no such file" for pattern in PURE if not files(pattern)])
    told(in_files(files(*PURE), lambda tree: imports_among(tree, IMPURE)))


def test_parsers_of_an_adapter_import_only_other_parsers() -> None:
    told([f"{pattern}: no such file" for pattern in PARSERS if not files(pattern)])
    told(in_files(files(*PARSERS), beside_parsers))


def test_pydantic_reads_the_configuration_and_nothing_else() -> None:
    others = [path for path in sources(*PRODUCT) if not name_of(path).startswith("core/config/")]
    told(in_files(others, lambda tree: imports_among(tree, {"pydantic"})))


def test_screens_and_widgets_are_replicas_and_see_no_engine() -> None:
    told([f"{pattern}: no such file" for pattern in REPLICAS if not files(pattern)])
    told(in_files(files(*REPLICAS), past_the_link))


def test_money_is_never_a_binary_fraction() -> None:
    paths = [p for p in sources("core", "brokers") if not any(fnmatch(name_of(p), allowed) for allowed in FLOATS)]
    told(in_files(paths, floats))


def test_tests_use_fakes_and_loopback_venues_instead_of_mocks() -> None:
    told(in_files(sources("tests"), mocks))


def test_every_module_says_what_it_is_for() -> None:
    told(in_files([path for path in tracked() if path.suffix == ".py"], undocumented))


def test_every_folder_of_the_product_is_a_package_and_so_gets_installed() -> None:
    folders = {path.parent for path in sources(*PRODUCT)}
    told([f"{name_of(folder)}: no __init__.py" for folder in sorted(folders) if not (folder / "__init__.py").exists()])


def test_no_secret_is_in_the_repository() -> None:
    told(in_texts(tracked(), SECRETS))


def test_no_file_tells_of_the_machine_or_the_tracker_it_was_written_with() -> None:
    told(in_texts(tracked(), PRIVATE))


def test_every_dependency_has_its_reason_written_down() -> None:
    reasons = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    built_with = PROJECT["build-system"]["requires"]
    asked = [*built_with, *PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"]]
    told(
        [
            f"docs/dependencies.md: nothing on {r.name}"
            for r in map(Requirement, asked)
            if f"| {r.name} |" not in reasons
        ]
    )


def test_the_licence_is_there_and_whole() -> None:
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in licence
    assert "END OF TERMS AND CONDITIONS" in licence


# ------------------------------------------------------------------------------- and each check is able to fail

BODY = "\n    pass"
LONG = "def f() -> None:" + BODY * LONGEST_FUNCTION
WIDE = "class Wide:" + "".join(f"\n    def m{n}(self): ..." for n in range(MOST_METHODS + 1))
SCREEN = "class Wide:" + "".join(f"\n    def action_m{n}(self): ..." for n in range(MOST_METHODS + 1))


@pytest.mark.parametrize(
    ("check", "bad", "good"),
    [
        (long_functions, LONG, LONG.removesuffix(BODY)),
        (wide_classes, WIDE, SCREEN),
        (wide_classes, WIDE, WIDE.replace("    def m0", "    @property\n    def m0")),
        (wide_classes, WIDE, WIDE.replace("Wide", "Wide(msgspec.Struct)")),
        (lambda tree: imports_among(tree, IMPURE), "def f():\n    from asyncio.queues import Queue", "import hashlib"),
        (lambda tree: imports_among(tree, IMPURE), "import os.path", "from core import time"),
        (past_the_link, "from core import closing", "from core import link"),
        (past_the_link, "from core.engine.engine import Engine", "from enginelib import x"),
        (past_the_link, "import brokers.paper", "from tui.present.labels import rows"),
        (past_the_link, "from tui.commands.plans import plan", "from tui.widgets import table"),
        (beside_parsers, "from brokers.ccxt import client", "from brokers.ccxt import wire, wire_errors"),
        (beside_parsers, "from brokers.ccxt.reads import AccountReads", "from brokers.ccxt.wire import Row"),
        (beside_parsers, "import brokers.ccxt.exchanges.krakenfutures_lookups", "from core.model import Order"),
        (floats, "x = float('0.1')", "x: float = 0.1"),
        (mocks, "from unittest.mock import Mock", "import unittest"),
        (mocks, "from unittest import mock", "from tests import fakes"),
        (mocks, "monkeypatch.setattr(ccxt.okx, 'fetch', x)", "monkeypatch.setattr(clock, 'now', x)"),
        (mocks, "mocker.patch('aiohttp.get')", "client.patch('/path')"),
        (undocumented, "import re", '"""Words."""\nimport re'),
        (undocumented, "import re", ""),
    ],
)
def test_a_check_finds_what_breaks_it_and_lets_the_rest_pass(
    check: Callable[[ast.Module], Iterator[str]], bad: str, good: str
) -> None:
    assert list(check(ast.parse(bad)))
    assert not list(check(ast.parse(good)))


@pytest.mark.parametrize(
    ("pattern", "bad", "good"),
    [
        (SECRETS, 'api_key = "' + "a1" * 16 + '"', 'api_key = "env:COINBASE_KEY"'),
        (SECRETS, "-----BEGIN EC " + "PRIVATE KEY-----", "a private key"),
        (SECRETS, "AKIA" + "Z" * 16, "AKIA"),
        (PRIVATE, "see /" + "work/main", "see docs/work/main"),
        (PRIVATE, "fixes issue " + "2", "an issue of 2 accounts"),
    ],
)
def test_a_pattern_finds_what_breaks_it_and_lets_the_rest_pass(pattern: re.Pattern[str], bad: str, good: str) -> None:
    assert list(matches(pattern, bad))
    assert not list(matches(pattern, good))
