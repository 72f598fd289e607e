"""Closed pipes, full disks, strange environments: no traceback, and an end."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.contract.cli.conftest import TIMEOUT, Run, environment
from tests.contract.damaged_models import healthy_model
from tests.isolation import Place

LONG_ANSWER = ["--no-chat-template", "--temperature", "5", "--seed", "1", "--top-p", "1"]
full_disk = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")


def piped_to_head(place: Place, *arguments: str) -> tuple[int, bytes, bytes, float]:
    """Run a command whose reader leaves at once: exit code, what it read, stderr, seconds until it ended."""
    child = subprocess.Popen(
        [sys.executable, "-m", "mlxk", *arguments],
        env=environment(place), cwd=place.work, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stderr is not None
    with child:
        line = os.read(child.stdout.fileno(), 1)
        child.stdout.close()
        left = time.monotonic()
        errors = child.stderr.read()
        code = child.wait(timeout=TIMEOUT)
    return code, line, errors, time.monotonic() - left


def test_a_reader_that_leaves_a_streaming_run_ends_it(place: Place) -> None:
    code, line, errors, seconds = piped_to_head(place, "run", "demo", "Tell me all.", *LONG_ANSWER)
    assert line
    assert errors == b""
    assert code in (0, 1)  # 0 when the answer was over before
    assert seconds < 10


def test_a_reader_that_leaves_a_listing_ends_it(place: Place) -> None:
    for number in range(400):
        (place.hub / f"models--org--{'x' * 60}{number}" / "blobs").mkdir(parents=True)
        (place.hub / f"models--org--{'x' * 60}{number}" / "blobs" / "x").touch()
    for arguments in (["list", "--all", "--health"], ["list", "--json"], ["health"]):
        code, line, errors, _ = piped_to_head(place, *arguments)
        assert line
        assert errors == b""
        assert code in (0, 1)


@pytest.mark.parametrize(
    "command",
    ["list", "list --json", "--help", "--version", "health", "show demo --config", "show nope --json"],
)
def test_a_reader_that_is_not_there(place: Place, process: Run, command: str) -> None:
    done = process(shell=f'{{ "$0" -m mlxk {command}; echo $? >&3; }} 3>code | true')
    assert done.out == ""
    assert "Traceback" not in done.err
    assert "Exception" not in done.err
    assert (place.work / "code").read_text().strip() in ("0", "1")


@full_disk
@pytest.mark.parametrize("command", ["list", "list --json", "show demo", "run demo hi"])
def test_a_full_disk_is_said_on_stderr(place: Place, process: Run, command: str) -> None:
    done = process(shell=f'"$0" -m mlxk {command} > /dev/full')
    assert done.code == 3
    assert done.err == "Error: The system refused: No space left on device.\n"


@pytest.mark.parametrize(
    ("command", "closed"),
    [
        ("list", ">&-"),
        ("list --json", ">&-"),
        ("list --json", "2>&-"),
        ("show nope", "2>&-"),
        ("list", "<&-"),
        ("run demo hi --max-tokens 2", ">&- 2>&- <&-"),
    ],
)
def test_closed_streams_do_no_harm(place: Place, process: Run, command: str, closed: str) -> None:
    done = process(shell=f'"$0" -m mlxk {command} {closed}')
    assert (done.code, done.err) == (1 if "nope" in command else 0, "")
    assert bool(done.out) == (closed in ("2>&-", "<&-") and done.code == 0)


@pytest.mark.parametrize(
    "environ",
    [
        {"HF_HOME": ""},
        {"HF_HOME": "", "HF_HUB_CACHE": "", "XDG_CACHE_HOME": "", "MLXK_WORKSPACE_HOME": ""},
        {"HF_HOME": None, "HOME": "/nonexistent", "XDG_CACHE_HOME": None},
        {"LANG": "C", "LC_ALL": "C"},
        {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "xx_XX.nonsense"},
        {"NO_COLOR": "1"},
        {"TERM": "dumb"},
        {"TERM": None, "LANG": None, "PATH": None},
        {"COLUMNS": "1"},
        {"COLUMNS": "nonsense"},
        {"MLXK_LOG_LEVEL": "", "MLXK_LOG_JSON": "", "MLXK_MAX_TOKENS": ""},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONWARNINGS": "error"},
    ],
    ids=str,
)
def test_no_environment_is_too_strange(place: Place, process: Run, environ: dict[str, str | None]) -> None:
    healthy_model(place.hub, "org/naïve-模型")
    done = process("list", "--all", environ=environ)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[-1].startswith("demo ")


def test_without_a_home_there_is_still_the_demo(place: Place, process: Run) -> None:
    variables = ("HOME", "HF_HOME", "XDG_CACHE_HOME", "MLXK_WORKSPACE_HOME")
    bare: dict[str, str | None] = dict.fromkeys(variables)
    bare["HF_HOME"] = str(place.root / "hf")
    done = process("list", "--json", environ=bare)
    assert [model["name"] for model in done.data["models"]] == ["demo"]


def test_a_working_directory_that_is_gone(place: Place, process: Run) -> None:
    place.work.joinpath("gone").mkdir()
    for command, code in (("list", 0), ("list .", 3), ("show ./x", 1)):
        done = process(shell=f'mkdir -p gone; cd gone; rmdir ../gone; "$0" -P -m mlxk {command}')
        assert done.code in (code, 1, 3) if code else done.code == 0, (command, done)
        assert "unexpected" not in done.err, (command, done.err)


def test_json_is_utf8_whatever_the_locale(place: Place, process: Run) -> None:
    healthy_model(place.hub, "org/naïve-模型")
    narrow = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    names = [model["name"] for model in process("list", "--json", environ=narrow).data["models"]]
    assert names == ["org/naïve-模型", "demo"]


def test_names_that_are_no_text_reach_nobody_as_such(place: Place, process: Run) -> None:
    for flags in ([], ["--json"]):
        done = process("show", b"bad\xff\x1b[31mname", *flags)
        assert done.code == 1
        assert "\x1b" not in done.err + done.out
    assert process("show", b"bad\xffname", "--json").error["type"] == "model_not_found"


def test_verbose_shows_where_an_error_came_from(place: Place) -> None:
    place.hub.rmdir()
    place.hub.write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "mlxk", "list", "--verbose"],
        env=environment(place), cwd=place.work, capture_output=True, text=True, check=False, timeout=TIMEOUT,
    )  # fmt: skip
    assert done.returncode == 3
    assert "Traceback" in done.stderr
    assert str(place.home) not in done.stderr
