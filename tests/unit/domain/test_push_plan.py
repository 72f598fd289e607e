"""What a push changes, and what it refuses."""

import hashlib
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxk.domain.errors import ErrorKind, InvalidInput, MlxkError
from mlxk.domain.findings import Code, Finding, Remedy
from mlxk.domain.health import HealthReport
from mlxk.domain.hub import HubFile, hub_file
from mlxk.domain.model import FileFact, LinkState
from mlxk.domain.naming import RepoId
from mlxk.domain.push_plan import (
    PushPlan,
    RemoteRepo,
    Visibility,
    damage,
    deletion_question,
    deletion_refusal,
    deletion_unasked,
    file_refusal,
    files_to_compare,
    plan_push,
    target_branch,
    target_repo,
    unconfirmed,
    visibility_refusal,
)
from mlxk.domain.verification import FileVerdict, Outcome

NAMES = st.sampled_from(["a", "b", "c.safetensors", "d/e", ".gitattributes", "notes.log"])
TREES = st.dictionaries(NAMES, st.binary(max_size=2), max_size=6)


def local_file(path: str, content: bytes) -> FileFact:
    return FileFact(path, len(content))


def remote_file(path: str, content: bytes) -> HubFile:
    oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    lfs = hashlib.sha256(content).hexdigest() if path.endswith(".safetensors") else None
    return hub_file(path, len(content), oid, lfs)


def planned(here: Mapping[str, bytes], there: Mapping[str, bytes], ignored: frozenset[str]) -> PushPlan:
    """The plan for two trees, with every comparison that it asks for made."""
    local = [local_file(path, content) for path, content in here.items()]
    remote = [remote_file(path, content) for path, content in there.items()]
    verdicts = [
        FileVerdict(file.path, Outcome.MATCHES if here[file.path] == there[file.path] else Outcome.DIFFERS)
        for file, _ in files_to_compare(local, remote)
    ]
    return plan_push(local, remote, ignored, verdicts)


@given(TREES, TREES)
def test_the_plan_makes_the_one_side_the_other(here: dict[str, bytes], there: dict[str, bytes]) -> None:
    plan = planned(here, there, frozenset())
    after = {path: content for path, content in there.items() if path not in plan.deleted}
    after |= {path: here[path] for path in plan.uploaded}
    kept = {path: there[path] for path in {".gitattributes"} & (set(there) - set(here))}
    assert after == here | kept
    assert plan.empty == (here | kept == there)


@given(TREES, TREES)
def test_every_file_is_in_one_list_and_lists_are_sorted(
    here: dict[str, bytes], there: dict[str, bytes]
) -> None:
    plan = planned(here, there, frozenset())
    lists = (plan.added, plan.modified, plan.deleted, plan.unchanged)
    everything = [path for paths in lists for path in paths]
    assert len(everything) == len(set(everything))
    assert set(everything) >= set(here)
    assert all(list(paths) == sorted(paths) for paths in lists)


def test_only_equal_sizes_are_hashed_by_the_kind_the_hub_has() -> None:
    here = {"a": b"12", "b": b"1", "c.safetensors": b"12", "new": b"1"}
    there = {"a": b"34", "b": b"22", "c.safetensors": b"12", "gone": b"1"}
    found = files_to_compare(
        [local_file(*file) for file in here.items()], [remote_file(*file) for file in there.items()]
    )
    assert [(file.path, digest.kind.value) for file, digest in found] == [
        ("a", "git-sha1"),
        ("c.safetensors", "sha256"),
    ]


def test_what_is_ignored_here_is_left_alone_there() -> None:
    assert planned({"a": b""}, {"a": b"", "notes.log": b""}, frozenset({"notes.log"})).empty


def test_a_file_that_cannot_be_read_stops_the_push() -> None:
    verdicts = [FileVerdict("a", Outcome.UNREADABLE, problem="Permission denied")]
    with pytest.raises(MlxkError, match="'a' cannot be read: Permission denied") as caught:
        plan_push([FileFact("a", 1)], [remote_file("a", b"1")], (), verdicts)
    assert caught.value.kind is ErrorKind.PERMISSION


def test_afterwards_names_and_sizes_must_be_there() -> None:
    plan = PushPlan(added=("a", "b"), modified=("c",), deleted=("d", "e"))
    local = [FileFact("a", 1), FileFact("b", 1), FileFact("c", 2)]
    there = [remote_file("a", b"1"), remote_file("c", b"1"), remote_file("d", b"")]
    assert unconfirmed(plan, local, there) == ["b", "c", "d"]


@pytest.mark.parametrize("text", ["model", "", "org/", "a/b/c", "org/x--y", "org/" + "x" * 93, "org/x y"])
def test_what_is_no_repository(text: str) -> None:
    with pytest.raises(InvalidInput):
        target_repo(text)


def test_a_revision_is_said_to_be_a_branch() -> None:
    with pytest.raises(InvalidInput) as caught:
        target_repo("org/name@dev")
    assert "--branch" in (caught.value.hint or "")
    assert target_repo("org/name") == RepoId("org/name")


@pytest.mark.parametrize("text", ["main", "dev", "feature/x-1", "v1.0", "a_b"])
def test_branches(text: str) -> None:
    assert target_branch(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "a b", "a..b", "/a", "a/", "a.", "-a", ".a", "a/.b", "a~1", "a^", "a:b", "a?", "a*", "a[b"),
        *("a\\b", "a//b", "x.lock", "x.lock/y", "a@{b", "a\x00", "b" * 201, "f" * 40),
    ],
)
def test_what_is_no_branch(text: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be used"):
        target_branch(text)


def test_files_that_cannot_go() -> None:
    assert file_refusal([FileFact("a", 1)]) is None
    for files, said in (
        ([], "nothing to push"),
        ([FileFact("a", 0, link=LinkState.ESCAPES)], "leads outside"),
        ([FileFact("a", 0, link=LinkState.BROKEN)], "leads nowhere"),
        ([FileFact("a\nb", 1)], "control character"),
    ):
        refusal = file_refusal(files)
        assert refusal is not None
        assert said in refusal.message


@pytest.mark.parametrize("code", Code)
def test_broken_files_stop_a_push_and_missing_ones_do_not(code: Code) -> None:
    incomplete = {"config_missing", "no_weights", "tokenizer_missing", "tokenizer_config_invalid"} | {
        "processor_missing", "processor_invalid",
    }  # fmt: skip
    report = HealthReport((Finding(code, "f", "m", Remedy.FIX_FILE),))
    assert bool(damage(report)) == (code.value not in incomplete)


@pytest.mark.parametrize("is_now", Visibility)
@pytest.mark.parametrize("asked", Visibility)
def test_a_repository_must_be_as_visible_as_was_said(is_now: Visibility, asked: Visibility) -> None:
    refusal = visibility_refusal(RemoteRepo(RepoId("o/n"), is_now, {}), asked, "https://hub/o/n")
    assert (refusal is None) == (is_now is asked)
    if refusal is not None:
        assert f"--{is_now.value}" in (refusal.hint or "")
        assert "https://hub/o/n/settings" in (refusal.hint or "")


@pytest.mark.parametrize(
    ("deleted", "here", "named"),
    [
        (("config.json",), ("model.safetensors",), "'config.json'"),
        (("a.safetensors", "b.gguf"), ("config.json",), "'a.safetensors', 'b.gguf'"),
        (("config.json", "m.safetensors"), (), "'config.json', 'm.safetensors'"),
        (("adapters.safetensors",), ("README.md",), "'adapters.safetensors'"),
        (("m.safetensors",), ("model-00001-of-00002.safetensors",), None),
        (("sub/config.json", "README.md", "train.py"), ("config.json",), None),
        ((), (), None),
    ],
)
def test_what_makes_a_model_is_never_deleted(
    deleted: tuple[str, ...], here: tuple[str, ...], named: str | None
) -> None:
    refusal = deletion_refusal(PushPlan(deleted=deleted), [FileFact(path, 1) for path in here])
    assert (refusal is None) == (named is None)
    assert refusal is None or f"lacks {named}, and" in refusal.message


def test_a_question_counts_the_files_and_names_the_first() -> None:
    one, many = PushPlan(deleted=("a",)), PushPlan(deleted=tuple("abcdef"))
    assert deletion_question(one, RepoId("o/n"), "main") == "Delete 1 file from o/n, branch main: 'a'?"
    question = deletion_question(many, RepoId("o/n"), "dev")
    assert question == "Delete 6 files from o/n, branch dev: 'a', 'b', 'c' and 3 more?"
    unasked = deletion_unasked(many, RepoId("o/n"))
    assert "6 files of 'o/n'" in unasked.message
    assert "--delete" in (unasked.hint or "")
