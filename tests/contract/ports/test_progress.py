"""The contract of `Progress` and `FileProgress`: bars on a terminal, JSON lines, none, and the recorder."""

import json

import pytest

from mlxk.cli.output.progress import JsonLines, NoProgress, ProgressBar
from mlxk.domain.ports import FileProgress
from tests.memory_ports import ProgressRecorder


@pytest.fixture(params=[JsonLines, NoProgress, ProgressBar, ProgressRecorder])
def progress(request: pytest.FixtureRequest) -> FileProgress:
    made: FileProgress = request.param()
    return made


def test_work_after_work(progress: FileProgress, capfd: pytest.CaptureFixture[str]) -> None:
    for phase in ("verify", "[bold]no markup[/nope]"):
        progress.start(phase, 10)
        progress.advance("a", 10)
        progress.finish()
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("total", [0, 10])
def test_too_much_too_little_and_an_end_too_many_do_no_harm(progress: FileProgress, total: int) -> None:
    progress.finish()
    progress.start("verify", total)
    progress.advance("a", 20)
    progress.finish()
    progress.finish()
    progress.advance("a", 1)


def test_files_that_are_expected_and_others(progress: FileProgress) -> None:
    progress.expect({"a": 10, "[b]": 10, "c": 0})
    progress.start("download", 20)
    for file, count in (("a", 4), ("[b]", 10), ("a", -4), ("c", 0), ("elsewhere", 3), ("a", 10), ("a", 1)):
        progress.advance(file, count)
    progress.finish()


def test_json_lines_are_few_and_the_last_of_a_file_says_all(capfd: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    lines = JsonLines(lambda: now)
    lines.expect({"a": 100})
    lines.start("download", 100)
    for _ in range(100):
        now += 0.01
        lines.advance("a", 1)
    lines.finish()
    out, err = capfd.readouterr()
    written = [json.loads(line) for line in err.splitlines()]
    assert out == ""
    assert [line["bytes"] for line in written] == [1, 51, 100]
    assert written[-1] == {
        "event": "progress",
        "phase": "download",
        "file": "a",
        "bytes": 100,
        "total": 100,
        "all_bytes": 100,
        "all_total": 100,
    }
