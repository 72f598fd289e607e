"""The contract of `Progress`: the bar on a terminal, none, and the recorder."""

import pytest

from mlxk.cli.output.progress import NoProgress, ProgressBar
from mlxk.domain.ports import Progress
from tests.memory_ports import ProgressRecorder


@pytest.fixture(params=[NoProgress, ProgressBar, ProgressRecorder])
def progress(request: pytest.FixtureRequest) -> Progress:
    made: Progress = request.param()
    return made


def test_work_after_work(progress: Progress, capfd: pytest.CaptureFixture[str]) -> None:
    for phase in ("verify", "[bold]no markup[/nope]"):
        progress.start(phase, 10)
        progress.advance("a", 10)
        progress.finish()
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("total", [0, 10])
def test_too_much_too_little_and_an_end_too_many_do_no_harm(progress: Progress, total: int) -> None:
    progress.finish()
    progress.start("verify", total)
    progress.advance("a", 20)
    progress.finish()
    progress.finish()
    progress.advance("a", 1)
