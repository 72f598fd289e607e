"""Bad input: one sentence, a way out where there is one, the right exit code, and no other model harmed."""

import json
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.contract.cli.conftest import TIMEOUT, Outcome, Run, environment
from tests.contract.damaged_models import CachedModel, healthy_model, weights
from tests.isolation import Place, delete_tree, isolated_place

NOBODY = 65534


@pytest.fixture
def models(place: Place) -> Place:
    healthy_model(place.hub, "mlx-community/Llama-3.2-1B")
    healthy_model(place.hub, "mlx-community/Llama-3.2-3B")
    twin = healthy_model(place.hub, "org/twin", commit="abc1" + "0" * 36)
    healthy_model(place.hub, "org/twin", commit="abc2" + "0" * 36)
    twin.refer("main")
    return place


def one_sentence(text: str) -> bool:
    return text.endswith(".") and "\n" not in text and text[0].isupper() | (text[0] == "'")


# what was typed


@pytest.mark.parametrize(
    ("arguments", "kind", "said", "matches"),
    [
        (
            ["show", "mlx-comunity/Llama-3.2-1B"],
            "model_not_found",
            "mlx-comunity/Llama-3.2-1B",
            ["mlx-community/Llama-3.2-1B", "mlx-community/Llama-3.2-3B"],
        ),
        (["show", "qqqqqq"], "model_not_found", "qqqqqq", None),
        (
            ["show", "llama"],
            "ambiguous_match",
            "matches 2 models",
            ["mlx-community/Llama-3.2-1B", "mlx-community/Llama-3.2-3B"],
        ),
        (["show", "twin@nope"], "model_not_found", "nope", None),
        (["show", "twin@abc"], "ambiguous_match", "abc", ["abc1" + "0" * 36, "abc2" + "0" * 36]),
        (["show", "twin@ab"], "model_not_found", "ab", None),
        (["show", "twin@"], "ValidationError", "no revision", None),
        (["show", "demo@main"], "model_not_found", "has no revisions", None),
        (["show", "x" * 105], "ValidationError", "105/96 characters", None),
        (["show", ""], "ValidationError", "empty", None),
        (["show", "./nowhere"], "workspace_not_found", "./nowhere", None),
        (["show", "/dev/null"], "workspace_not_found", "/dev/null", None),
        (["list", "x@"], "ValidationError", "no revision", None),
        (["health", "qqqqqq"], "model_not_found", "qqqqqq", None),
        (["run", "qqqqqq", "hi"], "model_not_found", "qqqqqq", None),
        (["run", "demo", ""], "ValidationError", "prompt is empty", None),
        (["run", "demo", " \n"], "ValidationError", "prompt is empty", None),
        (["run", "demo", "-"], "ValidationError", "prompt is empty", None),
        (["run", "demo"], "ValidationError", "prompt is empty", None),
        (["run", "demo", "a", "--prompt", "b"], "ValidationError", "twice", None),
        (["run", "demo", "a", "--system", "b", "--no-chat-template"], "ValidationError", "template", None),
        (["schema", "nope"], "ValidationError", "nope", None),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else None,
)
def test_a_name_or_prompt_that_cannot_be(
    models: Place, mlxk: Run, arguments: list[str], kind: str, said: str, matches: list[str] | None
) -> None:
    done = mlxk(*arguments, "--json")
    assert done.code == 1
    error = done.error
    assert error["type"] == kind
    assert said in error["message"]
    assert one_sentence(error["message"])
    assert error["hint"]
    assert error.get("matches") == matches
    text = mlxk(*arguments)
    assert (text.code, text.out) == (1, "")
    assert text.err.splitlines()[0] == f"Error: {error['message']}"
    assert text.err.splitlines()[-1] == f"Hint: {error['hint']}"
    assert text.err.splitlines()[1:-1] == [f"  {match}" for match in matches or []]


@pytest.mark.parametrize(
    ("option", "value", "bounds"),
    [
        ("--temperature", "-0.1", "between 0 and 5"),
        ("--temperature", "1e9", "between 0 and 5"),
        ("--temperature", "nan", "between 0 and 5"),
        ("--temperature", "inf", "between 0 and 5"),
        ("--top-p", "0", "more than 0 and at most 1"),
        ("--top-p", "1.01", "more than 0 and at most 1"),
        ("--top-k", "-1", "between 0 and"),
        ("--min-p", "-0.5", "between 0 and 1"),
        ("--min-p", "2", "between 0 and 1"),
        ("--repetition-penalty", "0", "between 0.01 and 10"),
        ("--repetition-penalty", "-inf", "between 0.01 and 10"),
        ("--seed", "-1", "between 0 and"),
        ("--seed", "9" * 400, "between 0 and"),
        ("--max-tokens", "0", "at least 1"),
        ("--max-tokens", "-5", "at least 1"),
        ("--stop", "", "empty"),
    ],
)
def test_sampling_out_of_bounds(place: Place, mlxk: Run, option: str, value: str, bounds: str) -> None:
    done = mlxk("run", "demo", "hi", option, value, "--json")
    assert (done.code, done.error["type"]) == (1, "ValidationError")
    assert bounds in done.error["message"]
    assert one_sentence(done.error["message"])


@pytest.mark.parametrize("template", [[], ["--no-chat-template"]])
def test_a_prompt_beyond_the_context_says_both_numbers(place: Place, mlxk: Run, template: list[str]) -> None:
    done = mlxk("run", "demo", "word " * 5000, "--json", *template)
    assert done.code == 1
    assert done.error["type"] == "ValidationError"
    assert "2048" in done.error["message"]
    assert any(int(word) > 2048 for word in done.error["message"].split() if word.isdigit())


def test_a_prompt_that_is_no_text(place: Place, mlxk: Run) -> None:
    piped = mlxk("run", "demo", "-", "--json", stdin=b"caf\xe9 cr\xe8me")
    assert (piped.code, piped.error["type"]) == (1, "ValidationError")
    assert "byte 3" in piped.error["message"]
    typed = mlxk("run", "demo", "caf\udce9", "--json")  # how Python hands on a byte that is no text
    assert (typed.code, typed.error["type"]) == (1, "ValidationError")


# usage


@pytest.mark.parametrize(
    ("arguments", "command", "said"),
    [
        (["nope"], "mlxk", "nope"),
        (["--nope"], "mlxk", "--nope"),
        ([], "mlxk", "missing"),
        (["list", "--nope"], "list", "--nope"),
        (["show"], "show", "MODEL"),
        (["show", "a", "b"], "show", "b"),
        (["run"], "run", "MODEL"),
        (["run", "demo", "--max-tokens", "many"], "run", "--max-tokens"),
        (["run", "demo", "--temperature", "hot"], "run", "--temperature"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_usage_mistakes(place: Place, mlxk: Run, arguments: list[str], command: str, said: str) -> None:
    for done in (mlxk(*arguments, "--json"), mlxk("--json", *arguments)):
        assert done.code == 2
        assert done.envelope()["command"] == command
        assert done.error["type"] == "ValidationError"
        assert said in done.error["message"]
        assert done.error["hint"]
    if arguments:
        text = mlxk(*arguments)
        assert (text.code, text.out) == (2, "")
        assert text.err.startswith("Usage: mlxk")
        assert said in text.err


def test_json_after_two_dashes_is_a_word(place: Place, mlxk: Run) -> None:
    done = mlxk("show", "--", "--json")
    assert (done.code, done.out) == (1, "")


def test_json_before_or_after_the_command_is_the_same(place: Place, mlxk: Run) -> None:
    assert mlxk("--json", "list").out == mlxk("list", "--json").out
    assert mlxk("--json", "show", "nope").out == mlxk("show", "nope", "--json").out


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MLXK_MAX_TOKENS", "many"),
        ("MLXK_LOG_LEVEL", "loud"),
        ("MLXK_LOG_JSON", "perhaps"),
        ("MLXK_WORKSPACE_HOME", "~nobody-at-all/x"),
    ],
)
def test_a_wrong_setting_is_named(
    place: Place, mlxk: Run, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    done = mlxk("list", "--json")
    assert (done.code, done.error["type"]) == (1, "ValidationError")
    assert name in done.error["message"]
    assert mlxk("--version").code == 0


# places


def test_a_cache_that_is_a_file(place: Place, mlxk: Run) -> None:
    place.hub.rmdir()
    place.hub.write_text("no cache")
    for arguments in (["list"], ["show", "demo"], ["health"], ["run", "demo", "hi"]):
        done = mlxk(*arguments, "--json")
        assert (done.code, done.error["type"]) == (3, "PermissionError")
        assert str(place.hub) in done.error["message"]
        assert done.error["hint"]


def test_a_cache_that_is_not_there_is_empty(place: Place, mlxk: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(place.root / "not" / "there"))
    assert [model["name"] for model in mlxk("list", "--json").data["models"]] == ["demo"]
    assert not (place.root / "not").exists()


@pytest.fixture
def open_place() -> Iterator[Place]:
    """A place that other users can reach, unlike pytest's own directories."""
    base = Path(tempfile.mkdtemp(prefix="mlxk-tests-"))
    base.chmod(0o755)
    made = isolated_place(base / "place")
    yield made
    made.hub.chmod(0o755)
    delete_tree(made.root)
    base.rmdir()


# Another user may not be able to start this Python, so the rights are dropped once it has loaded everything.
AS_NOBODY = f"""
import concurrent.futures.thread, contextlib, hashlib, io, os, queue, sys, tempfile
from mlxk.cli.main import run_program
warm = io.TextIOWrapper(io.BytesIO())
with contextlib.redirect_stdout(warm):
    run_program(["health", "demo", "--json"])
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid({NOBODY})
    os.setuid({NOBODY})
sys.exit(run_program(sys.argv[1:]))
"""


def as_nobody(place: Place, *arguments: str) -> Outcome:
    """Run a command as a user without any rights in this place."""
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, *arguments, "--json"],
        env=environment(place), cwd="/", capture_output=True, text=True, check=False, timeout=TIMEOUT,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return Outcome(done.returncode, done.stdout, done.stderr)


def test_a_cache_that_may_not_be_read(open_place: Place) -> None:
    healthy_model(open_place.hub, "org/x")
    open_place.hub.chmod(0)
    done = as_nobody(open_place, "list")
    assert (done.code, done.error["type"]) == (3, "PermissionError")
    assert "Permission denied" in done.error["message"]
    assert done.error["hint"]


def test_one_model_that_may_not_be_read_hides_no_other(open_place: Place) -> None:
    healthy_model(open_place.hub, "org/good")
    (healthy_model(open_place.hub, "org/locked").repository / "snapshots").chmod(0)
    healthy_model(open_place.hub, "org/secret").blob("config.json").chmod(0)
    models = as_nobody(open_place, "list").data["models"]
    assert {model["name"]: model["health"] for model in models} == {
        "org/good": "healthy",
        "org/locked": "unhealthy",
        "org/secret": "unhealthy",
        "demo": "healthy",
    }


def test_a_home_that_cannot_be_written_costs_nothing(open_place: Place) -> None:
    healthy_model(open_place.hub, "org/good")
    done = as_nobody(open_place, "health", "--verify", "--check")
    assert done.code == 0
    assert done.data["details"][0]["verification"]["files_checked"] == 5
    assert list(open_place.home.iterdir()) == []


# models


def _dangling(hub: Path) -> None:
    (hub / "models--bad--dangling").symlink_to(hub / "nowhere")


def _looping(hub: Path) -> None:
    model = healthy_model(hub, "bad/looping")
    (model.snapshot / "model.safetensors").unlink()
    (model.snapshot / "model.safetensors").symlink_to("model.safetensors")
    (model.snapshot / "folder").symlink_to(".")


def _half_deleted(hub: Path) -> None:
    shutil.rmtree(healthy_model(hub, "bad/half-deleted").repository / "snapshots")


def _without_blobs(hub: Path) -> None:
    shutil.rmtree(healthy_model(hub, "bad/without-blobs").repository / "blobs")


def _deep_config(hub: Path) -> None:
    healthy_model(hub, "bad/deep-config").add("config.json", b"[" * 100_000 + b"]" * 100_000)


def _deeper_config(hub: Path) -> None:
    deep = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    healthy_model(hub, "bad/deeper-config").add("config.json", deep)


def _foreign_config(hub: Path) -> None:
    healthy_model(hub, "bad/foreign-config").add("config.json", '{"model_type": "ä"}'.encode("utf-16"))


def _huge_header(hub: Path) -> None:
    content = struct.pack("<Q", 10**12) + b"{" + b" " * 100
    healthy_model(hub, "bad/huge-header").add("model.safetensors", content)


def _huge_tensor(hub: Path) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 10**12]}}).encode()
    healthy_model(hub, "bad/huge-tensor").add(
        "model.safetensors", struct.pack("<Q", len(header)) + header + b"0" * 8
    )


def _escaping(hub: Path) -> None:
    (hub.parent / "secret.safetensors").write_bytes(weights("a.weight"))
    model = healthy_model(hub, "bad/escaping")
    (model.snapshot / "model.safetensors").unlink()
    (model.snapshot / "model.safetensors").symlink_to(hub.parent / "secret.safetensors")


BROKEN: list[Callable[[Path], None]] = [
    _dangling, _looping, _half_deleted, _without_blobs, _deep_config, _deeper_config, _foreign_config,
    _huge_header, _huge_tensor, _escaping,
]  # fmt: skip


@pytest.fixture
def wreck(place: Place) -> Place:
    """A good model among many that are beyond repair."""
    healthy_model(place.hub, "good/one")
    for break_it in BROKEN:
        break_it(place.hub)
    (place.hub / "models--bad--file").write_text("no directory")
    (place.hub / "models--bad--empty").mkdir()
    (place.hub / ".locks").mkdir()
    (place.hub / "version.txt").write_text("1")
    return place


def test_a_wrecked_cache_is_listed_whole(wreck: Place, mlxk: Run) -> None:
    found = {model["name"]: model for model in mlxk("list", "--json").data["models"]}
    assert {name for name, model in found.items() if model["health"] == "healthy"} == {"good/one", "demo"}
    bad = {name.removeprefix("bad/") for name in found if name.startswith("bad/")}
    assert bad == {break_it.__name__[1:].replace("_", "-") for break_it in BROKEN}
    assert all(found[f"bad/{name}"]["reason"] for name in bad)
    assert mlxk("list").code == 0
    assert "11 healthy" not in mlxk("health").out


def test_no_wrecked_model_runs_or_harms_another(wreck: Place, mlxk: Run) -> None:
    for break_it in BROKEN:
        name = f"bad/{break_it.__name__[1:].replace('_', '-')}"
        for command in (["show", name], ["show", name, "--files", "--config"], ["health", name]):
            assert mlxk(*command, "--json").code == 0
            assert mlxk(*command).code == 0
        done = mlxk("run", name, "hi", "--json")
        assert (done.code, done.error["type"]) == (1, "OperationError")
        assert name in done.error["message"]
        assert f"mlxk health {name}" in done.error["hint"]
        assert one_sentence(done.error["message"])
    assert mlxk("show", "good/one", "--json").data["model"]["health"] == "healthy"


def _config(model: CachedModel, **config: object) -> None:
    model.add_json("config.json", config)


def test_what_is_not_for_text_is_not_run(place: Place, mlxk: Run) -> None:
    _config(healthy_model(place.hub, "mlx-community/future"), model_type="not-invented-yet")
    _config(healthy_model(place.hub, "mlx-community/bge"), model_type="bert")
    _config(healthy_model(place.hub, "mlx-community/whisper-tiny"), model_type="whisper")
    gguf = CachedModel(place.hub / "models--org--gguf")
    gguf.add("model.gguf", b"GGUF" + bytes(100))
    for name, said in {
        "future": "Model type 'not-invented-yet' is not supported by mlx-lm",
        "bge": "of type 'embedding'",
        "whisper": "of type 'audio'",
        "org/gguf": "not",
    }.items():
        done = mlxk("run", name, "hi", "--json")
        assert (done.code, done.error["type"]) == (1, "not_implemented")
        assert said in done.error["message"]
        assert done.error["hint"]
        assert one_sentence(done.error["message"])


def test_weights_that_do_not_fit_the_config(
    place: Place, mlxk: Run, demo_copy: Callable[[Path], Path]
) -> None:
    copy = demo_copy(place.workspaces / "misfit")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "hidden_size": 1000}))
    done = mlxk("run", "misfit", "hi", "--json")
    assert (done.code, done.error["type"]) == (1, "OperationError")
    assert one_sentence(done.error["message"])
    assert done.error["hint"]


def test_a_model_too_large_for_this_machine_is_refused_with_the_numbers(
    place: Place, mlxk: Run, demo_copy: Callable[[Path], Path]
) -> None:
    copy = demo_copy(place.workspaces / "huge")
    tensor = {"dtype": "U8", "shape": [2**42 - 8], "data_offsets": [0, 2**42 - 8]}
    header = json.dumps({"__metadata__": {"format": "mlx"}, "a": tensor}).encode()
    with (copy / "model.safetensors").open("wb") as file:  # sparse, and whole as far as its header tells
        file.write(struct.pack("<Q", len(header)) + header)
        try:
            file.truncate(8 + len(header) + 2**42 - 8)
        except OSError:
            pytest.skip("this file system has no sparse file of 4 TiB")
    done = mlxk("run", "huge", "hi", "--json")
    assert (done.code, done.error["type"]) == (1, "insufficient_memory")
    assert "GiB" in done.error["message"]
    assert "smaller" in done.error["hint"]
