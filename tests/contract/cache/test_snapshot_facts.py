"""Facts of whole, odd and hostile model directories."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlxk.adapters import snapshot_facts
from mlxk.adapters.hf_cache import HuggingFaceCache
from mlxk.adapters.snapshot_facts import MAX_DOCUMENT, SnapshotReader, parse_document
from mlxk.domain.health import assess
from mlxk.domain.model import (
    ABSENT,
    FileFact,
    HeaderProblem,
    Invalid,
    LinkState,
    ModelRecord,
    SafetensorsHeader,
    SnapshotFacts,
    Source,
)
from mlxk.domain.verification import expected_digest
from tests.contract.cache.conftest import without_root_rights
from tests.contract.damaged_models import (
    DAMAGED,
    LFS_POINTER,
    SHARDS,
    CachedModel,
    digest_of,
    healthy_model,
    healthy_sharded_model,
    healthy_vision_model,
    weights,
)


def facts_of(model: CachedModel) -> SnapshotFacts:
    record = ModelRecord("org/model", str(model.snapshot), Source.CACHE, revision=model.commit)
    return SnapshotReader().facts(record)


def facts_at(directory: Path) -> SnapshotFacts:
    return SnapshotReader().facts(ModelRecord(str(directory), str(directory), Source.WORKSPACE))


def names_in(model: CachedModel) -> list[str]:
    return sorted(path.name for path in model.snapshot.iterdir())


def fact(facts: SnapshotFacts, path: str) -> FileFact:
    (found,) = [file for file in facts.files if file.path == path]
    return found


# What a scan finds


def test_a_whole_model(hub: Path) -> None:
    model = healthy_sharded_model(hub, "org/model")
    facts = facts_of(model)

    assert [file.path for file in facts.files] == names_in(model)
    assert all(file.link is LinkState.INSIDE and file.mtime_ns for file in facts.files)
    assert facts.config()["model_type"] == "llama"
    assert facts.read("model.safetensors.index.json")["weight_map"]
    assert facts.chat_template
    assert facts.card.tags == ("mlx", "test")
    assert facts.unreadable == ()
    header = fact(facts, SHARDS[0]).header
    assert isinstance(header, SafetensorsHeader)
    assert header.tensors == {"a.weight"}
    assert header.format == "mlx"
    assert facts.document("generation_config.json") is ABSENT


def test_blobs_are_the_digests_of_the_content(hub: Path) -> None:
    model = healthy_model(hub, "org/model")
    for file in facts_of(model).files:
        digest = expected_digest(file.blob)
        assert digest is not None
        content = (model.snapshot / file.path).read_bytes()
        assert digest.value == digest_of(content, lfs=len(digest.value) == 64)


def test_every_deliberately_damaged_model_is_named_with_its_finding_and_the_others_left_alone(
    hub: Path,
) -> None:
    for code, build in DAMAGED.items():
        build(hub, f"damaged/{code}")
    healthy_model(hub, "whole/one-file")
    healthy_sharded_model(hub, "whole/shards")
    healthy_vision_model(hub, "whole/vision")

    reports = {
        record.name: assess(SnapshotReader().facts(record)) for record in HuggingFaceCache(hub).records()
    }
    first = {name: report.errors[0].code.value for name, report in reports.items() if report.errors}
    assert first == {f"damaged/{code}": code for code in DAMAGED}


def test_a_workspace_is_scanned_like_a_snapshot(hub: Path, tmp_path: Path) -> None:
    model = healthy_model(hub, "org/model")
    workspace = tmp_path / "my-model"
    workspace.mkdir()
    for name in names_in(model):
        (workspace / name).write_bytes((model.snapshot / name).read_bytes())
    (workspace / ".mlxk_workspace.json").write_text("{}")
    for private in (".git", ".cache", ".hf_cache"):
        (workspace / private / "deep").mkdir(parents=True)
        (workspace / private / "deep" / "file").write_text("x")

    facts = facts_at(workspace)
    assert facts.name == "my-model"
    assert [file.path for file in facts.files] == names_in(model)
    assert {(file.link, file.blob) for file in facts.files} == {(LinkState.NONE, None)}


def test_a_snapshot_given_by_path_is_a_snapshot(hub: Path) -> None:
    facts = facts_at(healthy_model(hub, "org/model").snapshot)

    assert facts.name == "org/model"
    assert all(file.link is LinkState.INSIDE for file in facts.files)


def test_files_in_folders_keep_their_path(hub: Path) -> None:
    model = healthy_model(hub, "org/model")
    model.add("1_Pooling/config.json", b"{")
    model.add("original/deep/consolidated.safetensors", weights("x"))

    facts = facts_of(model)
    assert fact(facts, "1_Pooling/config.json").link is LinkState.INSIDE
    assert isinstance(fact(facts, "original/deep/consolidated.safetensors").header, SafetensorsHeader)
    assert "1_Pooling/config.json" not in facts.documents


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("tokenizer_config.json", '{"chat_template": "{{ x }}"}', True),
        ("tokenizer_config.json", '{"chat_template": [{"name": "default", "template": "{{ x }}"}]}', True),
        ("tokenizer_config.json", '{"chat_template": null}', False),
        ("tokenizer_config.json", '{"chat_template": ""}', False),
        ("chat_template.jinja", "{{ x }}", True),
        ("chat_template.jinja", "", False),
        ("chat_template.json", '{"chat_template": "{{ x }}"}', True),
        ("chat_template.json", "{}", False),
        ("additional_chat_templates/tools.jinja", "{{ x }}", True),
        ("tokenizer.json", '{"chat_template": "{{ x }}"}', False),
    ],
)
def test_where_a_chat_template_may_be(tmp_path: Path, name: str, content: str, expected: bool) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(content)

    assert facts_at(tmp_path).chat_template is expected


# Links


def test_the_shared_store_is_inside_and_the_first_hop_names_the_digest(hub: Path) -> None:
    model = healthy_model(hub, "org/model")
    blob = model.blob("model.safetensors")
    store = hub / "blobs" / "ab" / ("ab" * 32)
    store.parent.mkdir(parents=True)
    blob.rename(store)
    blob.symlink_to(os.path.relpath(store, blob.parent))

    found = fact(facts_of(model), "model.safetensors")
    assert (found.link, found.blob, found.size) == (LinkState.INSIDE, blob.name, store.stat().st_size)
    assert isinstance(found.header, SafetensorsHeader)


@pytest.mark.parametrize("absolute", [True, False])
def test_links_the_hub_did_not_write_are_resolved(hub: Path, absolute: bool) -> None:
    model = healthy_model(hub, "org/model")
    link = model.snapshot / "model.safetensors"
    target = model.blob("model.safetensors").resolve()
    link.unlink()
    link.symlink_to(target if absolute else f"../../../{model.repository.name}/blobs/{target.name}")

    assert fact(facts_of(model), "model.safetensors").link is LinkState.INSIDE


def test_broken_looping_and_escaping_links_are_facts_and_never_followed(hub: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text('{"model_type": "secret"}')
    model = healthy_model(hub, "org/model")
    for name, target in {
        "config.json": str(secret),
        "README.md": str(secret),
        "loop": "loop",
        "dangling": "../../blobs/" + "f" * 40,
        "dangling-elsewhere": "/nowhere/at/all",
        "directory-outside": str(tmp_path),
        "directory-inside": "../../blobs",
        "through-a-file": "tokenizer.json/x",
        "dots": "../../blobs/..",
    }.items():
        (model.snapshot / name).unlink(missing_ok=True)
        (model.snapshot / name).symlink_to(target)

    facts = facts_of(model)
    links = {file.path: file.link for file in facts.files if file.link is not LinkState.INSIDE}
    assert links == {
        "README.md": LinkState.ESCAPES,
        "config.json": LinkState.ESCAPES,
        "dangling": LinkState.BROKEN,
        "dangling-elsewhere": LinkState.BROKEN,
        "directory-outside": LinkState.ESCAPES,
        "loop": LinkState.BROKEN,
        "through-a-file": LinkState.BROKEN,
    }
    assert facts.document("config.json") is ABSENT
    assert fact(facts, "config.json").size == 0
    assert "secret" not in repr(facts.documents)


def test_links_of_a_workspace_stay_in_it(tmp_path: Path) -> None:
    workspace = tmp_path / "ws"
    workspace.mkdir()
    (workspace / "real.safetensors").write_bytes(weights("a"))
    (workspace / "inside.safetensors").symlink_to("real.safetensors")
    (workspace / "sibling.safetensors").symlink_to("../ws-other/x")
    (tmp_path / "ws-other").mkdir()
    (tmp_path / "ws-other" / "x").write_bytes(weights("a"))

    facts = facts_at(workspace)
    assert fact(facts, "inside.safetensors").link is LinkState.INSIDE
    assert fact(facts, "sibling.safetensors").link is LinkState.ESCAPES
    assert facts.size == (workspace / "real.safetensors").stat().st_size


# Content that is not what it should be

BAD_DOCUMENTS = {
    "not UTF-8": b'{"a": "\xff"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "not JSON": b"{'a': 1}",
    "cut short": b'{"a": ',
    "a list": b"[]",
    "a string": b'"config"',
    "empty": b"",
    "blank": b" \n",
    "nested": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "lists": b"[" * 100_000,
    "digits": b'{"a": ' + b"1" * 5000 + b"}",
    "pointer": LFS_POINTER,
}


@pytest.mark.parametrize("kind", BAD_DOCUMENTS)
def test_a_document_that_cannot_be_used_is_invalid_for_a_reason(hub: Path, kind: str) -> None:
    model = healthy_model(hub, "org/model")
    model.add("config.json", BAD_DOCUMENTS[kind])

    document = facts_of(model).document("config.json")
    assert isinstance(document, Invalid)
    assert document.reason
    assert len(document.reason) < 200


def test_a_document_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    os.truncate(tmp_path / "config.json", MAX_DOCUMENT + 1)

    document = facts_at(tmp_path).document("config.json")
    assert isinstance(document, Invalid)
    assert str(MAX_DOCUMENT) in document.reason


@given(st.binary(max_size=200))
def test_no_document_raises(content: bytes) -> None:
    parse_document(content)


@pytest.mark.parametrize(
    "name", ["model.safetensors", "tokenizer.json", "config.json", "README.md", "sub/x.bin"]
)
def test_lfs_pointers_are_seen_whatever_the_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(LFS_POINTER)

    found = fact(facts_at(tmp_path), name)
    assert found.lfs_pointer
    assert found.header is None


def test_a_text_that_begins_otherwise_is_no_pointer(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(b"see version https://git-lfs.github.com/spec/v1".ljust(200))

    assert not fact(facts_at(tmp_path), "notes.txt").lfs_pointer


def test_an_empty_weight_file_has_no_header(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    (tmp_path / "short.safetensors").write_bytes(b"1234")

    facts = facts_at(tmp_path)
    assert fact(facts, "model.safetensors").header is None
    assert isinstance(fact(facts, "short.safetensors").header, HeaderProblem)


def test_pipes_and_sockets_are_not_opened(tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors", "README.md"):
        os.mkfifo(tmp_path / name)

    facts = facts_at(tmp_path)
    assert facts.files == ()
    assert [path for path, _ in facts.unreadable] == ["README.md", "config.json", "model.safetensors"]


def test_unreadable_files_and_folders_are_named_and_hide_nothing(shared_hub: Path) -> None:
    model = healthy_model(shared_hub, "org/model")
    model.add("folder/file.txt", b"x")
    for closed in (model.blob("config.json"), model.blob("model.safetensors"), model.snapshot / "folder"):
        closed.chmod(0)

    with without_root_rights():
        facts = facts_of(model)
    assert facts.document("config.json") == Invalid("Permission denied")
    assert fact(facts, "model.safetensors").header == HeaderProblem("Permission denied")
    assert dict(facts.unreadable) == {"folder": "Permission denied", "model.safetensors": "Permission denied"}
    assert facts.chat_template


def test_a_directory_that_is_gone_or_a_file_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    for place, reason in (("gone", "No such file or directory"), ("file", "Not a directory")):
        assert facts_at(tmp_path / place).unreadable == ((".", reason),)


def test_a_tree_without_end_is_left_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_facts, "MAX_FILES", 10)
    for number in range(20):
        (tmp_path / f"{number}.txt").write_text("")
    deep = tmp_path.joinpath(*["d"] * 40)
    deep.mkdir(parents=True)

    facts = facts_at(tmp_path)
    assert len(facts.files) == 10
    assert any("more than 10 files" in reason for _, reason in facts.unreadable)


# Unfinished downloads


def test_an_orphan_beside_a_complete_snapshot_is_no_fact(hub: Path) -> None:
    model = healthy_model(hub, "org/model")
    for name in (f"{'a' * 64}.0123abcd.incomplete", model.blob("model.safetensors").name + ".incomplete"):
        (model.repository / "blobs" / name).write_bytes(b"half")

    facts = facts_of(model)
    assert not any(file.path.endswith(".incomplete") for file in facts.files)
    assert assess(facts).healthy


@pytest.mark.parametrize("lost", ["shard", "weights", "broken link"])
def test_an_unfinished_download_shows_when_the_snapshot_lacks_something(hub: Path, lost: str) -> None:
    model = healthy_sharded_model(hub, "org/model")
    blob = model.blob(SHARDS[1])
    blob.rename(blob.with_name(f"{blob.name}.0123abcd.incomplete"))
    if lost == "shard":
        (model.snapshot / SHARDS[1]).unlink()
    elif lost == "weights":
        for name in (*SHARDS, "model.safetensors.index.json"):
            (model.snapshot / name).unlink()

    facts = facts_of(model)
    partial = fact(facts, f"blobs/{blob.name}.0123abcd.incomplete")
    assert partial.size > 0
    assert [file.path for file in facts.files] == sorted(file.path for file in facts.files)
    assert not assess(facts).healthy


def test_an_unfinished_download_into_a_workspace_shows(tmp_path: Path) -> None:
    downloads = tmp_path / ".cache" / "huggingface" / "download"
    downloads.mkdir(parents=True)
    (downloads / "abc.def.incomplete").write_bytes(b"half")
    (tmp_path / "config.json").write_text("{}")

    assert fact(facts_at(tmp_path), ".cache/huggingface/download/abc.def.incomplete").size == 4
    (tmp_path / "model.safetensors").write_bytes(weights("a"))
    assert not any("incomplete" in file.path for file in facts_at(tmp_path).files)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    name=st.sampled_from(
        ["config.json", "tokenizer_config.json", "model.safetensors", "README.md", "x.json"]
    ),
    content=st.binary(max_size=300)
    | st.dictionaries(st.text(), st.none()).map(lambda x: json.dumps(x).encode()),
)
def test_no_content_raises(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assess(facts_at(tmp_path))


@pytest.mark.parametrize(("content", "whole"), [(b'{"a": {}}\n', True), (b'{"a": {', False), (b"", True)])
def test_a_tokenizer_cut_short_is_seen_at_its_end(tmp_path: Path, content: bytes, whole: bool) -> None:
    (tmp_path / "tokenizer.json").write_bytes(content)
    record = ModelRecord(str(tmp_path), str(tmp_path), Source.WORKSPACE)
    document = SnapshotReader().facts(record).document("tokenizer.json")
    assert isinstance(document, Invalid) is not whole
