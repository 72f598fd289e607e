"""From what a person typed to one model."""

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlxk.domain.errors import AmbiguousMatch, ErrorKind, MlxkError, ModelNotFound
from mlxk.domain.model import ModelRecord, Source
from mlxk.domain.naming import NameSpec
from mlxk.domain.resolution import MAX_SUGGESTIONS, matching, resolve, suggestions
from tests.unit.domain.building import bundled, cached, workspace


def found(text: str, *records: ModelRecord, revision: str | None = None) -> ModelRecord:
    return resolve(NameSpec(text, revision), records)


STEPS = [
    workspace("llama"),
    cached("llama"),
    cached("mlx-community/llama"),
    workspace("my-Llama-copy"),
    cached("org/Llama-3.2-1B"),
    bundled("llama"),
]
"""One record for each step that `llama` goes through, in order."""


@pytest.mark.parametrize("first", range(len(STEPS)))
def test_the_first_step_with_a_hit_wins(first: int) -> None:
    rest = STEPS[first:]
    assert found("llama", *rest) == rest[0]
    assert found("llama", *reversed(rest)) == rest[0]


def test_exact_names_are_exact() -> None:
    longer = [cached("mlx-community/Llama-3.2-1B"), cached("mlx-community/Llama-3.2-1B-Instruct")]
    assert found("mlx-community/Llama-3.2-1B", *longer) == longer[0]
    assert found("Llama-3.2-1B", *longer) == longer[0]
    with pytest.raises(AmbiguousMatch):
        found("llama-3.2-1b", *longer)


def test_part_of_a_name_is_enough_in_any_case() -> None:
    record = cached("mlx-community/Qwen3-0.6B-4bit")
    assert found("QWEN3-0.6b", record, cached("org/other")) == record
    assert found("community/qwen", record) == record


def test_a_workspace_is_known_by_its_directory_only() -> None:
    record = workspace("tuned")
    assert found("tuned", record) == record
    assert found("TUNE", record) == record
    with pytest.raises(ModelNotFound):
        found("home", record)


def test_a_part_does_not_name_a_bundled_model() -> None:
    with pytest.raises(ModelNotFound):
        found("dem", bundled("demo"))
    assert found("demo", bundled("demo")) == bundled("demo")


def test_several_hits_at_one_step_are_ambiguous_and_sorted() -> None:
    records = [cached("org/c-llama"), cached("org/a-llama"), cached("org/b-llama"), bundled("llama")]
    with pytest.raises(AmbiguousMatch) as caught:
        found("llama", *records)
    assert caught.value.matches == ("org/a-llama", "org/b-llama", "org/c-llama")
    assert caught.value.message == "Model 'llama' is ambiguous: it matches 3 models."
    assert caught.value.hint == "use the full name, e.g. org/a-llama"
    assert caught.value.kind is ErrorKind.AMBIGUOUS_MATCH


def test_an_ambiguous_step_is_not_skipped() -> None:
    records = [workspace("a-llama"), workspace("b-llama"), cached("org/llama-only")]
    with pytest.raises(AmbiguousMatch) as caught:
        found("llama", *records)
    assert caught.value.matches == ("/home/a-llama", "/home/b-llama")


def test_two_workspaces_of_one_name_are_ambiguous() -> None:
    twins = [ModelRecord(f"/{home}/w", f"/{home}/w", Source.WORKSPACE) for home in ("b", "a")]
    with pytest.raises(AmbiguousMatch) as caught:
        found("w", *twins)
    assert caught.value.matches == ("/a/w", "/b/w")


def test_with_a_revision_only_the_cache_counts() -> None:
    record = cached("mlx-community/llama")
    assert found("llama", workspace("llama"), bundled("llama"), record, revision="main") == record
    with pytest.raises(ModelNotFound, match="'llama' has no revisions"):
        found("llama", workspace("llama"), bundled("llama"), revision="main")
    with pytest.raises(ModelNotFound, match="'llama@main'"):
        found("llama", workspace("other"), revision="main")


def test_deeper_names_and_names_against_the_rules_are_found() -> None:
    records = [cached("org/sub/model"), cached("org/a/-b")]
    assert found("org/sub/model", *records) == records[0]
    assert found("org/a/-b", *records) == records[1]


def test_nothing_found_suggests_what_is_close() -> None:
    records = [cached(f"mlx-community/Qwen3-{size}-4bit") for size in ("0.6B", "1.7B", "4B", "8B")]
    with pytest.raises(ModelNotFound) as caught:
        found("Qwen3-06B-4bit", *records)
    assert caught.value.matches[0] == "mlx-community/Qwen3-0.6B-4bit"
    assert len(caught.value.matches) == MAX_SUGGESTIONS
    assert caught.value.hint is not None
    assert "mlx-community/Qwen3-0.6B-4bit" in caught.value.hint


def test_nothing_found_and_nothing_close_says_where_to_look() -> None:
    with pytest.raises(ModelNotFound) as caught:
        found("zzzzzz", cached("org/llama"))
    assert caught.value.matches == ()
    assert caught.value.hint == "run `mlxk list --all` to see the models you have"


def test_suggestions_see_past_the_organisation_and_the_case() -> None:
    assert suggestions("lama-3.2", ["mlx-community/Llama-3.2", "org/bert"]) == ["mlx-community/Llama-3.2"]
    assert suggestions("MLX-comunity/llama-3.2", ["mlx-community/Llama-3.2"]) == ["mlx-community/Llama-3.2"]


def test_matching_filters_instead() -> None:
    records = [cached("org/b-Llama"), workspace("llama"), cached("org/bert"), bundled("demo")]
    assert matching("llama", records) == records[:2]
    assert matching("home", records) == []
    assert matching("dem", records) == [records[3]]


# Properties

names = st.text("abLl-3/", min_size=1, max_size=8).filter(lambda text: text.strip("/"))
records = st.lists(
    st.builds(cached, names)
    | st.builds(workspace, names.map(lambda name: name.strip("/").replace("/", "-")))
    | st.builds(bundled, names),
    max_size=8,
    unique_by=lambda record: (record.source, record.path),
)
specs = st.builds(NameSpec, names, st.none() | st.just("main"))


def outcome(spec: NameSpec, among: Sequence[ModelRecord]) -> ModelRecord | MlxkError:
    try:
        return resolve(spec, among)
    except MlxkError as error:
        return error


@given(specs, records, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_records_never_matters(spec: NameSpec, among: list[ModelRecord], random: Random) -> None:
    shuffled = list(among)
    random.shuffle(shuffled)
    one, other = outcome(spec, among), outcome(spec, shuffled)
    if isinstance(one, MlxkError) and isinstance(other, MlxkError):
        assert (one.kind, one.message, one.hint, one.matches) == (
            other.kind,
            other.message,
            other.hint,
            other.matches,
        )
    else:
        assert one == other


@given(specs, records)
@settings(deadline=None, max_examples=200)
def test_what_is_found_contains_what_was_typed(spec: NameSpec, among: list[ModelRecord]) -> None:
    match outcome(spec, among):
        case ModelRecord() as record:
            assert record in among
            assert spec.name.casefold() in record.name.casefold()
            assert spec.revision is None or record.source is Source.CACHE
        case AmbiguousMatch(matches=matches):
            assert len(matches) > 1
            assert list(matches) == sorted(matches)
            assert all(spec.name.casefold() in name.casefold() for name in matches)
        case ModelNotFound(matches=matches):
            assert len(set(matches)) == len(matches) <= MAX_SUGGESTIONS
        case error:
            pytest.fail(f"an error of another kind: {error!r}")


@given(records)
@settings(deadline=None)
def test_a_cached_model_is_always_found_by_its_full_name_when_no_workspace_has_it(
    among: list[ModelRecord],
) -> None:
    others = [record for record in among if record.source is not Source.WORKSPACE]
    for record in others:
        if record.source is Source.CACHE:
            assert resolve(NameSpec(record.name), others) == record


@given(names, st.lists(names, max_size=8))
@settings(deadline=None)
def test_suggestions_are_few_known_and_in_no_order_of_luck(name: str, known: list[str]) -> None:
    close = suggestions(name, known)
    assert len(close) <= MAX_SUGGESTIONS
    assert set(close) <= set(known)
    assert close == suggestions(name, sorted(known, reverse=True))
