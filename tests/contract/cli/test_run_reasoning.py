"""`mlxk run` with a model that thinks, in a pipe and on a terminal, to the letter."""

from pathlib import Path

import pytest

from tests.contract.cli.conftest import Run
from tests.contract.cli.terminal import Terminal
from tests.isolation import Place

ARGUMENTS = ["--temperature", "0", "--repetition-penalty", "1"]
THOUGHT = "The user wants a greeting."
DIM, PLAIN = "\x1b[2m", "\x1b[0m"


def test_a_pipe_gets_the_answer_without_the_thought(place: Place, parrot: str, mlxk: Run) -> None:
    for flags in ([], ["--no-stream"], ["--no-reasoning"]):
        done = mlxk("run", parrot, "Say hello.", *ARGUMENTS, *flags)
        assert (done.code, done.out) == (0, "Hello, world!\n")


def test_json_has_the_thought_apart(place: Place, parrot: str, mlxk: Run) -> None:
    data = mlxk("run", parrot, "Say hello.", *ARGUMENTS, "--json").data
    if "reasoning" in data:
        assert data["reasoning"].strip() == THOUGHT
    assert data["response"].strip() == "Hello, world!"
    assert data["finish_reason"] == "stop"
    assert "reasoning" not in mlxk("run", parrot, "Say hello.", *ARGUMENTS, "--json", "--no-reasoning").data


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        ("Greet me in Chinese.", "你好,世界!🎉 再见。"),
        ("Show me a family.", "A family: 👨‍👩‍👧‍👦 and a flag 🇫🇷."),
    ],
)
def test_characters_of_many_bytes_come_whole(
    place: Place, parrot: str, mlxk: Run, ask: str, said: str
) -> None:
    for flags in ([], ["--no-stream"]):
        assert mlxk("run", parrot, ask, "--no-reasoning", *ARGUMENTS, *flags).out == f"{said}\n"
    assert mlxk("run", parrot, ask, "--no-reasoning", *ARGUMENTS, "--json").data["response"].strip() == said


def test_a_narrow_locale_gets_the_same_bytes_or_marks(place: Place, parrot: str, process: Run) -> None:
    asked = ["run", parrot, "Greet me in Chinese.", "--no-reasoning", *ARGUMENTS]
    narrow = {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = process(*asked, environ=narrow)
    assert (done.code, done.err) == (0, "")
    assert "," in done.out


@pytest.fixture(scope="module")
def thinking(overfitted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model with a template that always thinks."""
    from tests.contract.tiny_models import with_chat_template

    return with_chat_template(overfitted, tmp_path_factory.mktemp("models") / "thinking")


@pytest.fixture
def thinker(place: Place, thinking: Path) -> str:
    (place.workspaces / "thinker").symlink_to(thinking)
    return "thinker"


def test_a_thinking_model_in_a_pipe_and_as_json(place: Place, thinker: str, mlxk: Run) -> None:
    for flags in ([], ["--no-stream"]):
        assert mlxk("run", thinker, "Say hello.", *ARGUMENTS, *flags).out == "Hello, world!\n"
    data = mlxk("run", thinker, "Say hello.", *ARGUMENTS, "--json").data
    assert (data["reasoning"].strip(), data["response"].strip()) == (THOUGHT, "Hello, world!")


@pytest.mark.parametrize("flags", [[], ["--no-stream"]], ids=["streamed", "whole"])
def test_a_terminal_shows_the_thought_dimmed(place: Place, thinker: str, flags: list[str]) -> None:
    with Terminal(place, ["run", thinker, "Say hello.", *ARGUMENTS, *flags], columns=40) as terminal:
        assert terminal.wait() == 0
    before, dim, rest = terminal.output.partition(DIM)
    assert dim
    thought, _, said = rest.partition(PLAIN)
    assert thought.strip() == THOUGHT
    assert said == "\n\nHello, world!\n"
    loading, cleared, _ = before.partition("\r\x1b[2K")
    assert bool(cleared) == (not flags)
    assert len(loading) < 40


def test_without_reasoning_a_terminal_shows_none(place: Place, thinker: str) -> None:
    with Terminal(place, ["run", thinker, "Say hello.", "--no-reasoning", *ARGUMENTS]) as terminal:
        assert terminal.wait() == 0
    assert THOUGHT not in terminal.output
    assert DIM not in terminal.output


def test_a_plain_terminal_gets_no_escapes(place: Place, thinker: str) -> None:
    with Terminal(place, ["run", thinker, "Say hello.", *ARGUMENTS], environ={"NO_COLOR": "1"}) as terminal:
        assert terminal.wait() == 0
    assert terminal.output == f"{THOUGHT}\n\nHello, world!\n"


def test_ctrl_c_in_a_thought_resets_the_terminal(place: Place, thinker: str) -> None:
    endless = ["run", thinker, "Say hello.", "--temperature", "4", "--seed", "1", "--top-p", "1"]
    with Terminal(place, endless) as terminal:
        terminal.wait_for(DIM)
        terminal.type("\x03")
        code = terminal.wait()
    shown = terminal.output
    assert shown.rindex(PLAIN) > shown.rindex(DIM)
    if code != 0:  # the answer may have been complete before the key was pressed
        assert code == 130
        assert shown.endswith("Error: Interrupted.\n")


def test_a_line_typed_at_the_prompt_is_the_prompt(place: Place, parrot: str) -> None:
    with Terminal(place, ["run", parrot, "--no-reasoning", *ARGUMENTS]) as terminal:
        terminal.wait_for("> ")
        terminal.type("Say hello.\n")
        assert terminal.wait() == 0
    assert terminal.output.endswith("Hello, world!\n")
