"""What only a process of its own shows: imports, signals, broken pipes, shells, and the first start."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pexpect
import pytest

SOURCES = Path(__file__).parents[3]
CALL = "from tui.main import main; main()"
TELL = (
    "import sys, atexit; atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr)); "
    "from tui.main import main; main()"
)
CONFIG = """[engine]
data_dir = "data"
[[users]]
id = "u"
[[users.accounts]]
name = "a"
broker = "paper"
book = "book.json"
"""
BOOK = """{"quotes": {"X-USD": {"bid": "1", "ask": "1"}},
 "positions": [{"symbol": "X-USD", "side": "long", "quantity": "5"}]}"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "config.toml").write_text(CONFIG)
    (tmp_path / "book.json").write_text(BOOK)
    return {**os.environ, "PYTHONPATH": str(SOURCES), "FLATDECK_CONFIG": str(tmp_path / "config.toml"), "TERM": "xterm"}


def start(env: dict[str, str], *args: str, code: str = CALL) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *args]
    return subprocess.Popen(
        command,
        env=env,
        cwd=Path(env["FLATDECK_CONFIG"]).parent,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    stdout, stderr = process.communicate(timeout=60)
    return process.returncode, stdout, stderr


@pytest.mark.parametrize(
    ("args", "unwanted"),
    [
        (["--help"], {"textual", "rich", "pydantic", "brokers", "aiosqlite"}),
        (["--version"], {"textual", "rich", "pydantic", "brokers", "aiosqlite"}),
        (["status", "--json"], {"textual", "rich"}),
    ],
)
def test_what_needs_no_console_does_not_import_one(env: dict[str, str], args: list[str], unwanted: set[str]) -> None:
    code, stdout, stderr = finish(start(env, *args, code=TELL))
    assert (code, bool(stdout)) == (0, True)
    assert not unwanted & {name.partition(".")[0] for name in stderr.split()}


def test_a_reader_that_leaves_early_gets_no_traceback(env: dict[str, str]) -> None:
    process = start(env, "status", "--json")
    assert process.stdout
    process.stdout.close()
    assert process.stderr
    said = process.stderr.read()
    process.stderr.close()
    assert (process.wait(60), said) == (0, "")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 0)])
def test_the_service_stops_cleanly_when_it_is_told_to(env: dict[str, str], number: int, code: int) -> None:
    process = start(env, "run")
    assert process.stderr
    said = ""
    while "Engine running" not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    process.send_signal(signal.SIGHUP)  # without a terminal a hang-up is no request to stop
    assert finish(start(env, "status"))[0] == 0
    assert process.poll() is None
    process.send_signal(number)
    returned, stdout, stderr = finish(process)
    assert (returned, stdout) == (code, "")
    assert "Stopped" in stderr
    assert "Traceback" not in stderr


def test_a_followed_journal_prints_what_comes_and_ends_with_ctrl_c(env: dict[str, str]) -> None:
    process = start(env, "journal", "--follow")
    time.sleep(1)
    assert finish(start(env, "flatten", "--all", "--yes"))[0] == 0
    assert process.stdout
    line = process.stdout.readline()
    assert "plan_approved" in line
    process.send_signal(signal.SIGINT)
    code, _, stderr = finish(process)
    assert (code, stderr.strip()) == (130, "Interrupted.")


def test_the_console_and_the_demo_need_a_terminal(env: dict[str, str]) -> None:
    for args in ([], ["demo"], ["demo", "--json"]):
        code, stdout, stderr = finish(start(env, *args))
        assert (code, len(stderr.splitlines())) == (2, 1)
        assert bool(stdout) == ("--json" in args)
        assert "terminal" in stderr


def test_the_first_start_without_a_configuration_offers_the_demo_and_init(env: dict[str, str]) -> None:
    Path(env.pop("FLATDECK_CONFIG")).rename(Path(env["HOME"]) / "elsewhere.toml")
    process = subprocess.run(
        [sys.executable, "-c", CALL],
        env=env,
        cwd=env["HOME"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (process.returncode, process.stdout) == (2, "")
    assert "flatdeck demo" in process.stderr
    assert "flatdeck init" in process.stderr
    assert len(process.stderr.splitlines()) == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_is_what_its_shell_can_read(env: dict[str, str], shell: str) -> None:
    code, stdout, _ = finish(start(env, "completion", shell))
    assert code == 0
    assert "_FLATDECK_COMPLETE" in stdout
    if shutil.which(shell) and shell != "fish":
        subprocess.run([shell, "-n"], input=stdout, text=True, check=True)


def test_a_shell_gets_completions(env: dict[str, str]) -> None:
    asked = {"_FLATDECK_COMPLETE": "bash_complete", "COMP_WORDS": "flatdeck cl", "COMP_CWORD": "1"}
    code, stdout, _ = finish(start({**env, **asked}))
    assert (code, stdout) == (0, "plain,cleanup\n")


def answering(env: dict[str, str], *args: str) -> pexpect.spawn[str]:
    return pexpect.spawn(
        sys.executable,
        ["-c", CALL, *args],
        env=env,
        cwd=env["HOME"],
        encoding="utf-8",
        timeout=30,
        dimensions=(40, 120),
    )


@pytest.mark.parametrize(("answer", "code"), [("\r", 3), ("n\r", 3), ("\x03", 3), ("y\r", 0)])
def test_at_a_terminal_only_a_y_goes_ahead(env: dict[str, str], answer: str, code: int) -> None:
    child = answering(env, "flatten", "--all")
    child.expect("Close 1 position")
    child.send(answer)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == code
    assert (Path(env["FLATDECK_CONFIG"]).parent / "data").exists() == (code == 0)


def test_the_demo_draws_its_console_and_leaves_nothing_behind(env: dict[str, str], tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    child = answering({**env, "TMPDIR": str(temporary)}, "demo", "--seed", "7")
    child.expect("platform")
    child.kill(signal.SIGTERM)
    child.expect(pexpect.EOF)
    child.close()
    assert list(temporary.iterdir()) == []


def test_a_plan_that_nobody_could_read_is_not_carried_out(env: dict[str, str]) -> None:
    process = start(env, "flatten", "--all", "--yes")
    assert process.stdout
    process.stdout.close()
    assert process.wait(60) == 1
    assert process.stderr
    process.stderr.close()
    assert '"quantity": "5"' in finish(start(env, "status", "--json"))[1]


@pytest.mark.parametrize(("redirect", "code"), [("<&-", 3), (">&-", 3), ("<&- >&- 2>&-", 3)])
def test_streams_that_are_closed_from_the_start_are_no_terminal(env: dict[str, str], redirect: str, code: int) -> None:
    command = f'exec "{sys.executable}" -c "{CALL}" flatten --all {redirect}'
    done = subprocess.run(["sh", "-c", command], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)


def test_where_the_plan_cannot_be_written_one_sentence_says_that_nothing_was_sent(env: dict[str, str]) -> None:
    for redirect, args in ((">/dev/full", ""), ("2>/dev/full", " --json")):
        command = f'exec "{sys.executable}" -c "{CALL}" flatten --all --yes{args} {redirect}'
        done = subprocess.run(["sh", "-c", command], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "results" not in done.stdout
        assert args or "nothing was sent" in done.stderr
        said = [line for line in done.stderr.splitlines() if " WARNING New data directory" not in line]
        assert args or len(said) == 1
    assert '"quantity": "5"' in finish(start(env, "status", "--json"))[1]


def test_a_result_that_cannot_be_written_is_one_sentence(env: dict[str, str]) -> None:
    command = f'exec "{sys.executable}" -c "{CALL}" status >/dev/full'
    done = subprocess.run(["sh", "-c", command], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "Nothing can be written (No space left on device); flatdeck journal says what was done\n"


def test_a_service_whose_log_cannot_be_written_goes_on_watching(env: dict[str, str]) -> None:
    process = subprocess.Popen(
        ["sh", "-c", f'exec "{sys.executable}" -c "{CALL}" run 2>/dev/full'], env=env, stdin=subprocess.DEVNULL
    )
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(4)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
