"""Loading: what goes wrong is one sentence with a way out, and nothing reaches the network or stdout."""

import contextlib
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mlxk.adapters.runtimes.text import MlxTextRuntime
from mlxk.domain.errors import ErrorKind, MlxkError
from tests.contract.runtimes.asking import ask, raw

Models = Callable[[str], Path]

VERIFY_HINT = "`mlxk health org/tiny --verify` tells whether its files are what was published"


@pytest.fixture
def copy(models: Models, tmp_path: Path) -> Path:
    return shutil.copytree(models("llama"), tmp_path / "models--org--tiny" / "snapshots" / "0123abc")


def refused(path: Path, kind: ErrorKind) -> MlxkError:
    with pytest.raises(MlxkError) as caught:
        MlxTextRuntime().load(path)
    error = caught.value
    assert error.kind is kind
    assert "\n" not in error.message
    assert error.hint
    return error


def edit_config(path: Path, **changes: object) -> None:
    config = json.loads((path / "config.json").read_text()) | changes
    (path / "config.json").write_text(
        json.dumps({key: value for key, value in config.items() if value is not ...})
    )


def test_an_unknown_architecture(copy: Path) -> None:
    edit_config(copy, model_type="no_such_family")
    error = refused(copy, ErrorKind.NOT_IMPLEMENTED)
    assert "no_such_family" in error.message
    assert "mlx-lm" in error.message


def test_code_of_its_own_is_never_run(copy: Path) -> None:
    edit_config(copy, model_file="evil.py")
    (copy / "evil.py").write_text("raise SystemExit('ran')")
    refused(copy, ErrorKind.NOT_IMPLEMENTED)


def test_a_tokenizer_with_code_of_its_own_is_never_run(copy: Path) -> None:
    settings = {"auto_map": {"AutoTokenizer": ["evil.Evil", None]}, "tokenizer_class": "Evil"}
    (copy / "tokenizer_config.json").write_text(json.dumps(settings))
    (copy / "evil.py").write_text("raise SystemExit('ran')")
    with contextlib.suppress(MlxkError):
        MlxTextRuntime().load(copy).close()


@pytest.mark.parametrize("size", [0, 4, 100, -1000])
def test_truncated_weights(copy: Path, size: int) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:size])
    assert refused(copy, ErrorKind.OPERATION).hint == VERIFY_HINT


def test_weights_of_another_shape(copy: Path) -> None:
    edit_config(copy, hidden_size=32)
    refused(copy, ErrorKind.OPERATION)


def test_weights_missing(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    refused(copy, ErrorKind.OPERATION)


@pytest.mark.parametrize(
    "change", [{"model_type": ...}, {"hidden_size": ...}, {"hidden_size": "x"}, {"model_type": 3}]
)
def test_a_config_that_says_too_little(copy: Path, change: dict[str, object]) -> None:
    edit_config(copy, **change)
    refused(copy, ErrorKind.OPERATION)


@pytest.mark.parametrize("text", ["", "[]", "{", "\x00", "[" * 100_000])
def test_a_config_that_is_none(copy: Path, text: str) -> None:
    (copy / "config.json").write_text(text)
    refused(copy, ErrorKind.OPERATION)


def test_no_directory(tmp_path: Path) -> None:
    assert str(tmp_path / "none") in (refused(tmp_path / "none", ErrorKind.OPERATION).hint or "")


def test_the_tokenizer_missing(copy: Path) -> None:
    for file in copy.glob("tokenizer*"):
        file.unlink()
    assert "tokenizer" in refused(copy, ErrorKind.OPERATION).message


@pytest.mark.parametrize("text", ["", "{}", "not json", '{"model": 3}'])
def test_the_tokenizer_broken(copy: Path, text: str) -> None:
    (copy / "tokenizer.json").write_text(text)
    assert "tokenizer" in refused(copy, ErrorKind.OPERATION).message


def test_an_odd_generation_config_is_no_obstacle(copy: Path) -> None:
    for text in (
        "{",
        '{"eos_token_id": "x"}',
        '{"eos_token_id": [true, null, 1.5]}',
        '{"eos_token_id": null}',
    ):
        (copy / "generation_config.json").write_text(text)
        engine = MlxTextRuntime().load(copy)
        assert ask(engine, raw("one", max_tokens=2)).finish.usage.completion_tokens <= 2
        engine.close()


def test_no_network(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    MlxTextRuntime().load(copy).close()
    (copy / "tokenizer.json").unlink()
    refused(copy, ErrorKind.OPERATION)


def test_standard_output_and_error_stay_clean(models: Models) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from mlxk.adapters.runtimes.text import MlxTextRuntime\n"
        "assert not {'mlx', 'mlx_lm', 'transformers'} & set(sys.modules)\n"
        "MlxTextRuntime().load(Path(sys.argv[1])).close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(models("llama"))], capture_output=True, check=True
    )
    assert done.stdout == b""
    assert done.stderr == b""
