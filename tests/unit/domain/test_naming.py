"""Names: the Hub's rules, the bijection with cache directories, and what a person may type."""

import re
import string

import pytest
from huggingface_hub.errors import HFValidationError
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils._validators import validate_repo_id
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlxk.domain.errors import ErrorKind, InvalidInput
from mlxk.domain.naming import (
    MAX_ID_LENGTH,
    NameSpec,
    PathSpec,
    RepoId,
    directory_of,
    is_cache_directory,
    is_commit_prefix,
    name_of,
    parse_spec,
)

INSIDE = st.text(string.ascii_letters + string.digits + "._-", max_size=40)
EDGE = st.sampled_from(string.ascii_letters + string.digits + "_")


@st.composite
def parts(draw: st.DrawFn) -> str:
    """An organisation or a name by the Hub's rules, built: no repeated '-' or '.', neither at an end."""
    text = draw(EDGE) + draw(INSIDE) + draw(EDGE)
    return re.sub(r"([.-])\1+", r"\1", text)


def is_short_and_no_git_url(text: str) -> bool:
    return len(text) <= MAX_ID_LENGTH and not text.endswith(".git")


valid_ids = st.one_of(parts(), st.builds("{}/{}".format, parts(), parts())).filter(is_short_and_no_git_url)
odd_ids = st.text(st.sampled_from("aZ9._-/ é\n\0"), max_size=20)


def is_valid(text: str) -> bool:
    try:
        RepoId(text)
    except InvalidInput:
        return False
    return True


def is_valid_to_the_hub(text: str) -> bool:
    try:
        validate_repo_id(text)
    except HFValidationError:
        return False
    return True


@given(valid_ids)
@settings(deadline=None)
def test_a_name_survives_the_way_to_its_directory_and_back(name: str) -> None:
    assert name_of(RepoId(name).directory) == name


@given(valid_ids, valid_ids)
@settings(deadline=None)
@example("a/b", "a-b")
@example("a/b-c", "a-b/c")
def test_two_names_never_share_a_directory(one: str, other: str) -> None:
    assert (RepoId(one).directory == RepoId(other).directory) == (one == other)


@given(st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=60))
@settings(deadline=None)
@example("org--a---b")
@example("a----b")
@example("-")
def test_a_directory_survives_the_way_to_its_name_and_back_even_if_it_breaks_the_rules(rest: str) -> None:
    directory = f"models--{rest}"
    assert directory_of(name_of(directory)) == directory


@given(valid_ids)
@settings(deadline=None)
def test_directories_are_those_of_the_hub_client(name: str) -> None:
    assert RepoId(name).directory == repo_folder_name(repo_id=name, repo_type="model")


@given(st.one_of(valid_ids, odd_ids))
@settings(deadline=None, max_examples=400)
@example("a.git")
@example("a.git/b")
@example("_a/b_")
@example("a/-b")
@example("a./b")
@example("a--b")
@example("a/b/c")
@example("a\n")
@example("/a")
@example("a/")
@example("é")
def test_up_to_96_characters_the_rules_are_those_of_the_hub_client(text: str) -> None:
    assert is_valid(text) == is_valid_to_the_hub(text)


def test_the_length_counts_for_the_whole_id_where_the_client_counts_each_part() -> None:
    # The client documents "between 1 and 96 characters" for the id, while its pattern bounds either part.
    # The documented rule is the one kept, since it is the stricter one and this is for writing.
    too_long = f"{'o' * 40}/{'n' * 64}"
    assert is_valid_to_the_hub(too_long)
    with pytest.raises(InvalidInput, match=r"105/96 characters"):
        RepoId(too_long)


def test_a_name_of_96_characters_is_the_longest() -> None:
    assert is_valid("n" * 96)
    with pytest.raises(InvalidInput, match=r"97/96 characters") as caught:
        RepoId("n" * 97)
    assert caught.value.kind is ErrorKind.VALIDATION


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "empty"),
        ("a/b/c", "at most one '/'"),
        ("/a", "organisation or name is empty"),
        ("a/", "organisation or name is empty"),
        ("a b", "only letters, digits"),
        ("ü", "only letters, digits"),
        ("a--b", "'--' and '..'"),
        ("a..b", "'--' and '..'"),
        ("-a", "at an end"),
        ("org/a.", "at an end"),
        ("org/a.git", "'.git'"),
    ],
)
def test_a_broken_rule_is_named(text: str, rule: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        RepoId(text)
    assert rule in caught.value.message


def test_a_refusal_of_a_huge_name_stays_short() -> None:
    with pytest.raises(InvalidInput) as caught:
        RepoId("n" * 100_000)
    assert len(caught.value.message) < 250


@pytest.mark.parametrize(
    ("directory", "name"),
    [
        ("models--gpt2", "gpt2"),
        ("models--org--model", "org/model"),
        ("models--org--sub--model", "org/sub/model"),
        ("models--org--a---b", "org/a/-b"),
    ],
)
def test_reading_is_tolerant(directory: str, name: str) -> None:
    assert name_of(directory) == name


@pytest.mark.parametrize("directory", ["datasets--org--set", "models", "models--", "spaces--a", ".locks", ""])
def test_other_directories_are_no_models(directory: str) -> None:
    assert not is_cache_directory(directory)
    with pytest.raises(ValueError, match="not a model cache directory"):
        name_of(directory)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        (".", PathSpec(".")),
        ("..", PathSpec("..")),
        ("./x", PathSpec("./x")),
        ("../x@y", PathSpec("../x@y")),
        ("/models/x", PathSpec("/models/x")),
        ("~", PathSpec("~")),
        ("~/x", PathSpec("~/x")),
        ("~someone/x", PathSpec("~someone/x")),
        ("./" + "long/" * 100, PathSpec("./" + "long/" * 100)),
        ("gpt2", NameSpec("gpt2")),
        (".hidden", NameSpec(".hidden")),
        ("org/model", NameSpec("org/model")),
        ("org/sub/model", NameSpec("org/sub/model")),
        ("org/model@main", NameSpec("org/model", "main")),
        ("model@a1b2c3", NameSpec("model", "a1b2c3")),
        ("model@refs/pr/1", NameSpec("model", "refs/pr/1")),
        ("model@v1@2", NameSpec("model", "v1@2")),
    ],
)
def test_what_a_person_types(text: str, spec: PathSpec | NameSpec) -> None:
    assert parse_spec(text) == spec


@pytest.mark.parametrize("text", ["", "   ", "\n", "@", "@main", "model@", "a\0b", "a@b\0"])
def test_what_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_spec(text)


def test_a_name_too_long_to_be_one_is_refused_with_both_numbers() -> None:
    with pytest.raises(InvalidInput, match=r"105/96 characters"):
        parse_spec("n" * 105)
    assert parse_spec("n" * 96 + "@main") == NameSpec("n" * 96, "main")


@given(st.text(max_size=200))
@settings(deadline=None)
def test_any_text_is_a_spec_or_invalid_input(text: str) -> None:
    try:
        spec = parse_spec(text)
    except InvalidInput:
        return
    assert (spec.path if isinstance(spec, PathSpec) else str(spec)) == text


@pytest.mark.parametrize(
    ("revision", "may_be"),
    [("abc", True), ("0" * 40, True), ("ab", False), ("0" * 41, False), ("ABC", False), ("main", False)],
)
def test_commit_prefixes_are_3_to_40_hex_digits(revision: str, *, may_be: bool) -> None:
    assert is_commit_prefix(revision) is may_be
