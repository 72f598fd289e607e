"""`mlxk pull` of what is here in part, together with another one, interrupted, and watched."""

import json
import signal
import time

import pytest

from tests.contract.cli.conftest import TIMEOUT, Run
from tests.contract.cli.hub_commands.pulling import (
    BIG,
    BIG_NAME,
    FOLDER,
    NAME,
    answer_of,
    begun,
    begun_by_another,
    half,
    snapshot,
    start,
)
from tests.contract.cli.terminal import Terminal
from tests.contract.hub_server import Fault, HubServer, Repository, Trouble
from tests.isolation import Place
from tests.waiting import until

# Here in part


def test_what_another_program_has_begun_is_not_touched_without_consent(
    big: Repository, server: HubServer, place: Place, mlxk: Run
) -> None:
    theirs = begun_by_another(place)
    done = mlxk("pull", NAME, "--json")
    assert done.code == 1
    assert done.data["download_status"] == "requires_confirmation"
    assert f"mlxk pull {NAME} --force-resume" in done.data["message"]
    assert server.traffic.downloads() == []
    for_people = mlxk("pull", NAME)
    assert (for_people.code, for_people.err) == (1, "")
    assert "is here in part" in for_people.out
    assert theirs.exists()
    assert mlxk("pull", NAME, "--force-resume").code == 0


def test_our_own_half_is_gone_on_with(big: Repository, server: HubServer, place: Place, mlxk: Run) -> None:
    half(place, big)
    done = mlxk("pull", NAME, "--json")
    assert done.data["download_status"] == "success"
    assert done.data["bytes_downloaded"] == len(BIG) - 1_000_000 + 2
    assert [request.range for request in server.traffic.downloads(BIG_NAME)] == ["bytes=1000000-"]
    assert (snapshot(place, big) / BIG_NAME).read_bytes() == BIG


@pytest.mark.parametrize("content", [b"[]", b"changed by hand"])
def test_a_file_that_was_put_there_by_hand_is_kept(
    big: Repository, server: HubServer, place: Place, mlxk: Run, content: bytes
) -> None:
    mlxk("pull", NAME)
    mine = snapshot(place, big) / "config.json"
    mine.unlink()
    mine.write_bytes(content)
    done = mlxk("pull", NAME, "--json")
    assert (done.code, done.data["download_status"]) == (1, "requires_confirmation")
    assert all(word in done.data["message"] for word in ("config.json", "mlxk clone", "--force-resume"))
    assert mine.read_bytes() == content
    assert mlxk("pull", NAME, "--force-resume").code == 0
    assert mine.read_bytes() == b"{}"


def test_a_snapshot_that_lacks_a_file_is_half(on_hub: Repository, place: Place, mlxk: Run) -> None:
    mlxk("pull", NAME)
    lost = snapshot(place, on_hub) / "config.json"
    (lost.parent / lost.readlink()).unlink()
    assert mlxk("pull", NAME, "--json").data["download_status"] == "requires_confirmation"
    assert mlxk("pull", NAME, "--force-resume").code == 0
    assert lost.exists()


def test_a_link_that_is_gone_needs_neither_question_nor_download(
    on_hub: Repository, server: HubServer, place: Place, mlxk: Run
) -> None:
    mlxk("pull", NAME)
    lost = snapshot(place, on_hub) / "config.json"
    lost.unlink()
    server.traffic.clear()
    done = mlxk("pull", NAME, "--json")
    assert (done.code, done.data["download_status"]) == (0, "success")
    assert lost.exists()
    assert server.traffic.downloads() == []


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1), ("\n", 1), ("\x04", 1)])
def test_on_a_terminal_it_asks(
    big: Repository, place: Place, at_hub: dict[str, str | None], answer: str, code: int
) -> None:
    begun_by_another(place)
    with Terminal(place, ["pull", NAME], environ=at_hub) as terminal:
        terminal.wait_for("download the other 3.0MB? [y/N] ")
        terminal.type(answer)
        assert terminal.wait() == code
    assert (code == 0) == (place.hub / FOLDER / "refs/main").exists()


def test_two_at_once_both_succeed(
    big: Repository, server: HubServer, place: Place, at_hub: dict[str, str | None]
) -> None:
    """The second sees a begun file; since somebody is at it, it asks nothing and waits."""
    server.faults.add(Fault(BIG_NAME, Trouble.HOLD, 2_000_000))
    first = start(place, at_hub)
    until(lambda: begun(place, 2_000_000))
    second = start(place, at_hub)
    until(lambda: sum("/tree/" in request.path for request in server.traffic.all()) == 2)
    time.sleep(1)
    assert second.poll() is None
    server.faults.release()
    answers = [answer_of(first), answer_of(second)]
    assert [answer["download_status"] for answer in answers] == ["success", "success"]
    assert sum(answer["bytes_downloaded"] for answer in answers) == len(BIG) + 2


# Interrupted


def test_ctrl_c_keeps_what_came_and_says_how_to_go_on(
    big: Repository, server: HubServer, place: Place, at_hub: dict[str, str | None], mlxk: Run
) -> None:
    server.faults.add(Fault(BIG_NAME, Trouble.HANG, 2_000_000))
    child = start(place, at_hub)
    until(lambda: begun(place, 2_000_000))
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=TIMEOUT)
    assert child.returncode == 130
    assert "Traceback" not in err
    assert f"`mlxk pull {NAME}` goes on where it stopped" in err
    envelope = json.loads(out)
    assert envelope["error"]["type"] == "UserCancelledError"
    assert envelope["data"]["download_status"] == "failed"
    assert mlxk("pull", NAME, "--json").data["bytes_downloaded"] <= 1_000_002


# Progress


def test_progress_as_json_lines(big: Repository, mlxk: Run) -> None:
    done = mlxk("pull", NAME, "--json", "--progress")
    lines = [json.loads(line) for line in done.err.splitlines()]
    assert {(line["event"], line["phase"], line["all_total"]) for line in lines} == {
        ("progress", "download", len(BIG) + 2)
    }
    last = {line["file"]: line for line in lines}
    assert last[BIG_NAME]["bytes"] == last[BIG_NAME]["total"] == len(BIG)
    assert max(line["all_bytes"] for line in lines) == len(BIG) + 2
    assert len(lines) < 20
    assert done.data["download_status"] == "success"


def test_without_progress_stderr_is_silent(big: Repository, mlxk: Run) -> None:
    assert mlxk("pull", NAME, "--json").err == ""


def test_a_terminal_sees_the_total_and_the_files_on_their_way(
    big: Repository, server: HubServer, place: Place, at_hub: dict[str, str | None]
) -> None:
    server.faults.add(Fault(BIG_NAME, Trouble.HOLD, 1_000_000))
    with Terminal(place, ["pull", NAME], environ=at_hub, columns=100) as terminal:
        terminal.wait_for(BIG_NAME)
        server.faults.release()
        assert terminal.wait() == 0
    assert "download" in terminal.output
    assert terminal.output.count("\x1b[?25l") == terminal.output.count("\x1b[?25h")
    assert f"{NAME}@{big.refs['main']}" in terminal.output
