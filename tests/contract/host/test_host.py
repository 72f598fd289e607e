"""What the runtimes support, as read from their files, against what importing them says."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from mlxk.adapters.host import ThisMachine
from mlxk.domain.compatibility import RuntimePackage, Runtimes

_IMPORT_EVERYTHING = """
import contextlib, importlib, io, json, pkgutil, sys
package, models, attributes = sys.argv[1], sys.argv[2], sys.argv[3].split(",")
complete = []
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    for module in pkgutil.iter_modules(importlib.import_module(models).__path__):
        with contextlib.suppress(ImportError, SystemExit):
            found = importlib.import_module(f"{models}.{module.name}")
            if all(hasattr(found, name) for name in attributes):
                complete.append(module.name)
print(json.dumps(complete))
"""


@pytest.fixture(scope="module")
def runtimes() -> Runtimes:
    return ThisMachine().runtimes()


def ask(code: str, *arguments: str) -> Any:
    ran = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, timeout=300
    )
    return json.loads(ran.stdout.splitlines()[-1])


def importable(package: RuntimePackage | None, models: str, attributes: str) -> tuple[set[str], set[str]]:
    assert package is not None
    return set(package.families), set(ask(_IMPORT_EVERYTHING, package.name, models, attributes))


def test_every_mlx_lm_family_can_be_imported_and_none_is_left_out(runtimes: Runtimes) -> None:
    ours, theirs = importable(runtimes.text, "mlx_lm.models", "Model,ModelArgs")
    assert ours == theirs
    assert {"llama", "qwen3", "gemma3"} <= ours


def test_the_tables_of_mlx_lm_are_read_as_they_are(runtimes: Runtimes) -> None:
    code = """
import json
from importlib.metadata import version
from mlx_lm.utils import MODEL_ARCHITECTURE_REMAPPING as pairs, MODEL_REMAPPING as names
print(json.dumps([version("mlx-lm"), names, [[*key, value] for key, value in pairs.items()]]))
"""
    version, names, pairs = ask(code)
    assert runtimes.text is not None
    assert runtimes.text.version == version
    assert runtimes.text.remapping == names
    assert runtimes.text.architecture_remapping == {(a, b): c for a, b, c in pairs}


def test_every_mlx_vlm_family_can_be_imported_and_none_is_left_out(runtimes: Runtimes) -> None:
    pytest.importorskip("mlx_vlm", reason="mlx-vlm is an extra")
    ours, theirs = importable(runtimes.vision, "mlx_vlm.models", "Model")
    assert ours == theirs
    assert {"qwen2_vl", "gemma3", "idefics3"} <= ours


def test_the_embedding_families_of_mlx_vlm(runtimes: Runtimes) -> None:
    pytest.importorskip("mlx_vlm", reason="mlx-vlm is an extra")
    code = """
import json
from mlx_vlm.embedding_loader import EMBEDDING_MODEL_REMAPPING
print(json.dumps(EMBEDDING_MODEL_REMAPPING))
"""
    assert runtimes.vision is not None
    found = runtimes.vision.embedding_families
    assert {"bert", "xlm-roberta", "modernbert", "qwen3"} <= found
    assert set(ask(code)) <= found
    assert not found & {"llama", "qwen2_vl", "moondream2", "phi4mm"}


def test_every_mlx_audio_family_can_be_imported(runtimes: Runtimes) -> None:
    pytest.importorskip("mlx_audio", reason="mlx-audio is an extra")
    ours, theirs = importable(runtimes.audio, "mlx_audio.stt.models", "Model")
    assert theirs <= ours
    assert {"whisper", "voxtral", "parakeet"} <= ours
    assert runtimes.audio is not None
    code = "import json; from mlx_audio.stt.utils import MODEL_REMAPPING as names; print(json.dumps(names))"
    assert runtimes.audio.remapping == ask(code)


def test_nothing_is_imported() -> None:
    code = """
import json, sys
from mlxk.adapters.host import ThisMachine
assert ThisMachine().runtimes().text
runtimes = ("mlx", "mlx_lm", "mlx_vlm", "mlx_audio", "psutil")
print(json.dumps([name for name in runtimes if name in sys.modules]))
"""
    assert ask(code) == []


# Remembering


def test_what_was_found_is_remembered_and_the_same(tmp_path: Path, runtimes: Runtimes) -> None:
    remembered = tmp_path / "state"
    assert ThisMachine(remembered).runtimes() == runtimes
    (file,) = remembered.iterdir()
    before = file.stat().st_mtime_ns

    assert ThisMachine(remembered).runtimes() == runtimes
    assert file.stat().st_mtime_ns == before


@pytest.mark.parametrize("content", ["", "[]", "{", '{"mlx-lm": 1}', '{"mlx-lm": {"state": null}}'])
def test_spoilt_memory_is_replaced(tmp_path: Path, runtimes: Runtimes, content: str) -> None:
    (tmp_path / "runtimes.json").write_text(content)

    assert ThisMachine(tmp_path).runtimes() == runtimes
    assert json.loads((tmp_path / "runtimes.json").read_text())["mlx-lm"]["families"]


@pytest.mark.parametrize(
    "key", ["version", "families", "remapping", "architecture_remapping", "embedding_families"]
)
def test_half_a_memory_is_replaced(tmp_path: Path, runtimes: Runtimes, key: str) -> None:
    ThisMachine(tmp_path).runtimes()
    file = tmp_path / "runtimes.json"
    kept = json.loads(file.read_text())
    kept["mlx-lm"][key] = 7
    file.write_text(json.dumps(kept))

    assert ThisMachine(tmp_path).runtimes() == runtimes


def test_where_nothing_can_be_written_it_is_looked_up_each_time(tmp_path: Path, runtimes: Runtimes) -> None:
    (tmp_path / "state").write_text("")

    assert ThisMachine(tmp_path / "state").runtimes() == runtimes


# Installations that are not as they should be


def install(place: Path, version: str = "9.9.9") -> Path:
    package = place / "mlx_lm"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "models" / "llama.py").write_text("class Model:\n    pass\n")
    (package / "models" / "cache.py").write_text("class KVCache:\n    pass\n")
    (package / "utils.py").write_text('MODEL_REMAPPING = {"mistral": "llama"}\n')
    (place / f"mlx_lm-{version}.dist-info").mkdir()
    return package


def text_of(place: Path, remembered: Path | None = None) -> RuntimePackage:
    found = ThisMachine(remembered, [str(place)]).runtimes()
    assert found.vision is None
    assert found.audio is None
    assert found.text is not None
    return found.text


def test_nothing_installed_is_nothing_supported(tmp_path: Path) -> None:
    assert ThisMachine(None, [str(tmp_path)]).runtimes() == Runtimes(None, None, None)


def test_an_installation_is_read_without_running_it(tmp_path: Path) -> None:
    install(tmp_path)

    assert text_of(tmp_path) == RuntimePackage("mlx-lm", "9.9.9", frozenset({"llama"}), {"mistral": "llama"})


def test_an_upgrade_is_noticed(tmp_path: Path) -> None:
    package = install(tmp_path / "lib")
    assert text_of(tmp_path / "lib", tmp_path).version == "9.9.9"
    (tmp_path / "lib" / "mlx_lm-9.9.9.dist-info").rename(tmp_path / "lib" / "mlx_lm-10.0.0.dist-info")
    (package / "models" / "new_family.py").write_text("from .llama import Model\n")

    found = text_of(tmp_path / "lib", tmp_path)
    assert found.version == "10.0.0"
    assert found.families == {"llama", "new_family"}


@pytest.mark.parametrize(
    "source",
    [
        "",
        "def (",
        "MODEL_REMAPPING = dict(a='b')",
        "MODEL_REMAPPING = {x: y}",
        "MODEL_REMAPPING = {1: 2}",
        "\0",
        "é",
    ],
)
def test_sources_that_cannot_be_read_leave_the_tables_empty(tmp_path: Path, source: str) -> None:
    (install(tmp_path) / "utils.py").write_text(source, encoding="latin-1")

    assert text_of(tmp_path).remapping == {}
    assert text_of(tmp_path).families == {"llama"}


def test_missing_parts_are_empty(tmp_path: Path) -> None:
    package = install(tmp_path)
    for path in [*(package / "models").iterdir(), package / "utils.py"]:
        path.unlink()
    (package / "models").rmdir()

    assert text_of(tmp_path).families == frozenset()


# Memory


def test_memory_is_what_the_system_says() -> None:
    memory = ThisMachine().memory()

    assert memory.total == psutil.virtual_memory().total
    assert 0 < memory.available <= memory.total
