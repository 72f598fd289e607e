"""`mlxk run` on the bundled model: where the prompt comes from, and what becomes of the answer."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.cli.conftest import Outcome, Run
from tests.isolation import Place

ASK = "What is mlxk?"
GREEDY = ["--temperature", "0", "--max-tokens", "24"]


def answer(done: Outcome) -> str:
    assert done.code == 0, done.err
    return done.out


@pytest.fixture
def expected(mlxk: Run) -> str:
    """What the model says to `ASK`, decoded greedily."""
    return answer(mlxk("run", "demo", ASK, *GREEDY))


def test_the_demo_model_says_what_it_is(place: Place, mlxk: Run) -> None:
    text = answer(mlxk("run", "demo", "Who are you?", "--temperature", "0"))
    assert "mlxk" in text
    assert text.endswith("\n")


@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [
        (ASK.split(), b""),
        (["--prompt", ASK], b""),
        (["-p", ASK], b""),
        (["-"], ASK.encode()),
        (["-"], ASK.encode() + b"\n"),
        (["--prompt", "-"], ASK.encode()),
        ([], ASK.encode()),
        (["--no-stream", ASK], b""),
        (["--", *ASK.split()], b""),
    ],
    ids=["words", "--prompt", "-p", "-", "- and a line end", "--prompt -", "a pipe", "--no-stream", "--"],
)
def test_however_the_prompt_is_given_the_answer_is_the_same(
    place: Place, mlxk: Run, expected: str, arguments: list[str], stdin: bytes
) -> None:
    assert answer(mlxk("run", "demo", *GREEDY, *arguments, stdin=stdin)) == expected


def test_words_after_the_dash_follow_what_was_read(place: Place, mlxk: Run) -> None:
    data = mlxk("run", "demo", "-", "and", "more", "--json", *GREEDY, stdin="naïve\ntext\n".encode()).data
    assert data["prompt"] == "naïve\ntext\n\nand more"
    assert mlxk("run", "demo", "-", "alone", "--json", *GREEDY).data["prompt"] == "alone"


def test_a_dash_among_words_is_a_word(place: Place, mlxk: Run) -> None:
    data = mlxk("run", "demo", "one", "-", "two", "--json", *GREEDY, stdin=b"unread").data
    assert data["prompt"] == "one - two"


def test_json_says_what_was_asked_and_answered(place: Place, mlxk: Run, expected: str) -> None:
    done = mlxk("run", "demo", ASK, "--json", *GREEDY)
    data = done.data
    assert (data["model"], data["prompt"]) == ("demo", ASK)
    assert data["response"].rstrip("\n") == expected.rstrip("\n")
    assert data["finish_reason"] in ("stop", "length")
    assert 0 < data["tokens_generated"] <= 24
    assert data["prompt_tokens"] > 0
    assert data["generation_time_s"] > 0
    assert data["tokens_per_second"] > 0
    assert "reasoning" not in data
    assert done.err == ""


def test_the_same_seed_gives_the_same_answer_streamed_or_not(place: Place, mlxk: Run) -> None:
    hot = ["run", "demo", ASK, "--temperature", "5", "--top-p", "1", "--max-tokens", "16", "--seed"]
    streamed = answer(mlxk(*hot, "7"))
    assert answer(mlxk(*hot, "7", "--no-stream")) == streamed
    assert mlxk(*hot, "7", "--json").data["response"].rstrip("\n") == streamed.rstrip("\n")
    assert len({answer(mlxk(*hot, str(seed))) for seed in range(8, 12)}) > 1


def test_a_limit_ends_the_answer_and_is_told(place: Place, mlxk: Run) -> None:
    done = mlxk("run", "demo", ASK, "--max-tokens", "3", "--temperature", "0")
    assert done.code == 0
    assert done.err == "Stopped at the limit of 3 tokens.\n"
    assert mlxk("run", "demo", ASK, "--max-tokens", "3", "-q").err == ""
    data = mlxk("run", "demo", ASK, "--max-tokens", "3", "--json").data
    assert (data["tokens_generated"], data["finish_reason"]) == (3, "length")


def test_the_limit_may_come_from_the_environment(
    place: Place, mlxk: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLXK_MAX_TOKENS", "2")
    assert mlxk("run", "demo", ASK, "--json").data["tokens_generated"] == 2
    assert mlxk("run", "demo", ASK, "--json", "--max-tokens", "4").data["tokens_generated"] == 4


def test_a_stop_text_ends_the_answer_before_it(place: Place, mlxk: Run, expected: str) -> None:
    words = expected.split()
    stop = words[3]
    text = answer(mlxk("run", "demo", ASK, *GREEDY, "--stop", stop, "--stop", "never said"))
    assert stop not in text
    assert expected.startswith(text.rstrip("\n"))
    assert mlxk("run", "demo", ASK, *GREEDY, "--stop", stop, "--json").data["finish_reason"] == "stop"


def test_without_the_template_the_model_goes_on(place: Place, mlxk: Run) -> None:
    raw = mlxk("run", "demo", ASK, "--no-chat-template", "--json", *GREEDY).data
    asked = mlxk("run", "demo", ASK, "--json", *GREEDY).data
    assert raw["prompt_tokens"] < asked["prompt_tokens"]


def test_a_system_prompt_is_part_of_the_prompt(place: Place, mlxk: Run) -> None:
    plain = mlxk("run", "demo", ASK, "--json", *GREEDY).data
    with_system = mlxk("run", "demo", ASK, "--system", "Be brief.", "--json", *GREEDY).data
    assert with_system["prompt_tokens"] > plain["prompt_tokens"]
    assert with_system["prompt"] == ASK


def test_a_workspace_runs_by_name_and_by_path(
    place: Place, mlxk: Run, demo_copy: Callable[[Path], Path], expected: str
) -> None:
    demo_copy(place.workspaces / "mine")
    demo_copy(place.work / "here")
    for model in ("mine", "./here", str(place.work / "here"), "../workspaces/mine"):
        assert answer(mlxk("run", model, ASK, *GREEDY)) == expected


def test_a_model_of_a_type_for_text_only_prints_nothing_else(place: Place, process: Run) -> None:
    done = process("run", "demo", "hi", *GREEDY, environ={"PYTHONWARNINGS": "default"})
    assert (done.code, done.err) == (0, "")
    assert done.out.count("\n") == 1
