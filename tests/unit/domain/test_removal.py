"""What goes with a revision, and with a model."""

from hypothesis import given
from hypothesis import strategies as st

from mlxk.domain.removal import RepoContents, SnapshotContents, plan_removal

NAMES = st.sampled_from("abcdef")
SNAPSHOTS = st.builds(SnapshotContents, NAMES, st.frozensets(NAMES), st.integers(0, 9))
CONTENTS = st.builds(
    RepoContents,
    st.lists(SNAPSHOTS, max_size=4, unique_by=lambda found: found.commit).map(tuple),
    st.dictionaries(NAMES, st.integers(0, 9)),
    st.dictionaries(NAMES, NAMES),
)


def test_what_another_revision_needs_stays() -> None:
    contents = RepoContents(
        (SnapshotContents("old", frozenset("ab")), SnapshotContents("new", frozenset("bc"), own_bytes=5)),
        {"a": 1, "b": 10, "c": 100, "begun": 1000},
        {"main": "new", "v1": "old", "dangling": "gone"},
    )
    old = plan_removal(contents, "old")
    assert (old.whole, old.commits, old.refs, old.blobs, old.bytes) == (False, ("old",), ("v1",), ("a",), 1)
    new = plan_removal(contents, "new")
    assert (new.refs, new.blobs, new.bytes) == (("main",), ("c",), 105)
    every = plan_removal(contents)
    assert (every.whole, every.commits, every.bytes) == (True, ("new", "old"), 1116)


def test_a_blob_that_is_not_there_frees_nothing() -> None:
    contents = RepoContents((SnapshotContents("x", frozenset("a")), SnapshotContents("y")), {}, {})
    assert plan_removal(contents, "x").bytes == 0
    assert plan_removal(contents, "x").blobs == ()


@given(CONTENTS, st.none() | NAMES)
def test_nothing_that_stays_loses_a_blob_or_a_ref(contents: RepoContents, commit: str | None) -> None:
    removal = plan_removal(contents, commit)
    staying = [found for found in contents.snapshots if found.commit not in removal.commits]
    assert removal.whole == (not staying)
    for found in staying:
        assert not found.blobs & set(removal.blobs)
    assert not {contents.refs[ref] for ref in removal.refs} & {found.commit for found in staying}
    assert removal.bytes <= sum(contents.blobs.values()) + sum(s.own_bytes for s in contents.snapshots)
