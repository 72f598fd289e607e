"""The contract of `FactReader`: a directory on disk, and its stand-in in memory."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from mlxk.adapters.snapshot_facts import SnapshotReader, parse_document
from mlxk.domain.model import FileFact, ModelRecord, SnapshotFacts, Source
from mlxk.domain.ports import FactReader
from tests.memory_ports import MemoryFactReader

FILES = {
    "config.json": json.dumps({"model_type": "llama"}).encode(),
    "tokenizer_config.json": b'{"chat_template": "{{ x }}"}',
    "original/params.json": b"{}",
    "notes.txt": b"",
}
Reader = Callable[[ModelRecord, Mapping[str, bytes]], FactReader]


@pytest.fixture(params=["memory", "disk"])
def reader(request: pytest.FixtureRequest) -> Reader:
    """Makes a reader that finds these files at a record's path."""
    return _in_memory if request.param == "memory" else _on_disk


def _in_memory(record: ModelRecord, files: Mapping[str, bytes]) -> FactReader:
    documents = {path: parse_document(files[path]) for path in ("config.json", "tokenizer_config.json")}
    facts = SnapshotFacts(
        Path(record.path).name,
        tuple(FileFact(path, len(files[path])) for path in sorted(files)),
        documents,
        chat_template=True,
    )
    return MemoryFactReader({record.path: facts})


def _on_disk(record: ModelRecord, files: Mapping[str, bytes]) -> FactReader:
    for path, content in files.items():
        file = Path(record.path) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return SnapshotReader()


@pytest.fixture
def record(tmp_path: Path) -> ModelRecord:
    path = str(tmp_path / "workspace")
    return ModelRecord(path, path, Source.WORKSPACE)


def test_facts_hold_every_file_and_the_documents(reader: Reader, record: ModelRecord) -> None:
    facts = reader(record, FILES).facts(record)
    assert facts.name == "workspace"
    assert [(file.path, file.size) for file in facts.files] == [
        (path, len(FILES[path])) for path in sorted(FILES)
    ]
    assert facts.config() == {"model_type": "llama"}
    assert facts.chat_template
    assert facts.size == sum(map(len, FILES.values()))
    assert facts.unreadable == ()


def test_a_directory_that_is_gone_is_a_fact_not_an_error(reader: Reader, tmp_path: Path) -> None:
    gone = ModelRecord("gone", str(tmp_path / "gone"), Source.WORKSPACE)
    facts = reader(ModelRecord("x", str(tmp_path / "x"), Source.WORKSPACE), FILES).facts(gone)
    assert facts.files == ()
    assert [path for path, _ in facts.unreadable] == ["."]


def test_what_a_record_could_not_say_is_a_fact(reader: Reader, record: ModelRecord) -> None:
    damaged = ModelRecord("org/x", record.path, Source.CACHE, problem="no snapshot")
    facts = reader(record, FILES).facts(damaged)
    assert facts.unreadable == ((".", "no snapshot"),)
    assert facts.name == "org/x"
