"""What differs between two models, and which files must be read to know."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from mlxk.domain.difference import Changed, Side, compare, undecided
from mlxk.domain.model import Document, FileFact, Invalid, LinkState
from mlxk.domain.tensors import TensorFact
from tests.unit.domain.building import model, weights

BF16 = TensorFact("BF16", (2, 4), 16)
TABLE = {"model.safetensors": {"a.weight": BF16}}
NOTHING: frozenset[str] = frozenset()


def side(
    *files: FileFact,
    documents: Mapping[str, Document] | None = None,
    also: tuple[str, ...] = (),
    tensors: Mapping[str, Mapping[str, TensorFact]] = TABLE,
    **config: object,
) -> Side:
    settings = {"model_type": "llama", **config}
    return Side(
        model("m", *files, config=settings, documents=documents, also=also),  # type: ignore[arg-type]
        tensors,
    )


def test_a_model_is_the_same_as_itself() -> None:
    found = compare(side(), side(), NOTHING)
    assert found.same
    assert found.config.same
    assert found.tensors.same


def test_keys_of_config_even_of_nested_objects() -> None:
    first = side(a=1, gone=True, text_config={"x": 1, "y": [1]}, empty={})
    second = side(a=1.0, new=None, text_config={"x": True, "y": [1]}, empty={})
    found = compare(first, second, NOTHING).config
    assert (found.added, found.removed) == ({"new": None}, {"gone": True})
    assert found.changed == (Changed("text_config.x", 1, True),)


def test_not_a_number_is_itself() -> None:
    assert compare(side(x=float("nan")), side(x=float("nan")), NOTHING).same


def test_tensors_added_removed_retyped_reshaped() -> None:
    first = {"a": BF16, "b": BF16, "c": BF16, "old": BF16}
    second = {"a": BF16, "b": TensorFact("U32", (2, 1), 8), "c": TensorFact("F32", (2, 4), 32), "new": BF16}
    found = compare(
        side(tensors={"model.safetensors": first}), side(tensors={"model.safetensors": second}), NOTHING
    )
    assert list(found.tensors.added) == ["new"]
    assert list(found.tensors.removed) == ["old"]
    assert found.tensors.retyped == (Changed("b", "BF16", "U32"), Changed("c", "BF16", "F32"))
    assert found.tensors.reshaped == (Changed("b", (2, 4), (2, 1)),)
    assert found.weights.changed == ("model.safetensors",)


def test_tensors_that_moved_to_another_shard_are_the_same() -> None:
    found = compare(
        side(weights("one.safetensors"), tensors={"one.safetensors": {"a": BF16}}),
        side(weights("two.safetensors"), tensors={"two.safetensors": {"a": BF16}}),
        NOTHING,
    )
    assert found.tensors.same
    assert (found.weights.added, found.weights.removed) == (("two.safetensors",), ("one.safetensors",))


def test_only_files_of_equal_size_and_header_must_be_read() -> None:
    tokenizer, readme = FileFact("tokenizer.json", 10), FileFact("README.md", 10)
    broken = FileFact("broken.bin", 10, link=LinkState.BROKEN)
    first = side(weights(), tokenizer, readme, broken)
    second = side(weights(), replace(tokenizer, size=11), readme, broken)
    assert [one.path for one, _ in undecided(first, second)] == ["README.md", "model.safetensors"]
    retyped = side(
        weights(), tokenizer, tensors={"model.safetensors": {"a.weight": TensorFact("F16", (2, 4), 16)}}
    )
    assert [one.path for one, _ in undecided(first, retyped)] == ["tokenizer.json"]


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("model.safetensors", "weights"),
        ("tokenizer.json", "tokenizer"),
        ("merges.txt", "tokenizer"),
        ("chat_template.jinja", "chat_template"),
        ("additional_chat_templates/tool.jinja", "chat_template"),
        ("README.md", "other"),
        ("preprocessor_config.json", "other"),
    ],
)
@pytest.mark.parametrize("change", ["changed", "added", "removed"])
def test_every_file_belongs_to_one_part(path: str, part: str, change: str) -> None:
    base = [weights("base.safetensors")]
    with_it = side(*base, FileFact(path, 10), tensors={})
    without = side(*base, tensors={})
    match change:
        case "changed":
            found = compare(with_it, with_it, frozenset({path}))
        case "added":
            found = compare(without, with_it, NOTHING)
        case _:
            found = compare(with_it, without, NOTHING)
    parts = ("tokenizer", "chat_template", "weights", "other")
    assert [name for name in parts if not getattr(found, name).same] == [part]
    assert getattr(getattr(found, part), change) == (path,)
    assert not found.same


def test_the_template_and_the_settings_of_tokenizer_config_are_told_apart() -> None:
    def with_settings(**settings: object) -> Side:
        return side(documents={"tokenizer_config.json": settings})  # type: ignore[dict-item]

    base = with_settings(eos="x", chat_template="a")
    template = compare(base, with_settings(eos="x", chat_template="b"), NOTHING)
    assert (template.tokenizer.same, template.chat_template.changed) == (True, ("tokenizer_config.json",))
    settings = compare(base, with_settings(eos="y", chat_template="a"), NOTHING)
    assert (settings.tokenizer.changed, settings.chat_template.same) == (("tokenizer_config.json",), True)
    gone = compare(base, side(), NOTHING)
    assert gone.tokenizer.removed == gone.chat_template.removed == ("tokenizer_config.json",)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ([1, {"a": True}], [1, {"a": True}], True),
        ([1, {"a": True}], [1, {"a": 1}], False),
        ([0], [False], False),
        ([1], [1.0], True),
        ([[float("nan")]], [[float("nan")]], True),
        ([1], [1, 2], False),
        ({}, [], False),
        ([None], [0], False),
    ],
)
def test_values_are_compared_with_their_types_at_every_depth(one: object, other: object, same: bool) -> None:
    assert compare(side(x=one), side(x=other), NOTHING).same is same
    first, second = (
        side(documents={"tokenizer_config.json": {"x": value}})  # type: ignore[dict-item]
        for value in (one, other)
    )
    assert compare(first, second, NOTHING).tokenizer.same is same


def test_a_key_with_a_dot_is_not_one_of_a_nested_object() -> None:
    found = compare(
        Side(model("m", config={"a.b": 1})), Side(model("m", config={"a": {"b": 1}})), NOTHING
    ).config
    assert (found.removed, found.added) == ({'"a.b"': 1}, {"a.b": 1})


BAD = Invalid("it is not valid JSON")


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_what_cannot_be_parsed_is_compared_by_content(name: str) -> None:
    def with_it(document: Document) -> Side:
        if name == "config.json":
            return Side(model("m", config=document), TABLE)
        return Side(model("m", documents={name: document}), TABLE)

    bad, good = with_it(BAD), with_it({})
    assert name in [one.path for one, _ in undecided(bad, bad)]
    assert compare(bad, bad, NOTHING).same
    for found in (compare(bad, bad, frozenset({name})), compare(bad, good, NOTHING)):
        part = found.other if name == "config.json" else found.tokenizer
        assert part.changed == (name,)
        assert found.config.same is (name != "config.json")


def test_no_config_is_not_an_empty_one() -> None:
    found = compare(Side(model("m", config=None)), Side(model("m", config={})), NOTHING)
    assert not found.config.same
    assert found.other.added == ("config.json",)


def test_what_cannot_be_read_is_never_the_same() -> None:
    link = FileFact("tokenizer.json", 0, link=LinkState.BROKEN)
    broken = side(weights(), link)
    assert compare(broken, broken, NOTHING).tokenizer.changed == ("tokenizer.json",)
    assert compare(side(weights()), broken, NOTHING).tokenizer.added == ("tokenizer.json",)
    locked = Side(replace(side().facts, unreadable=(("README.md", "x"), ("folder", "x"))), TABLE)
    assert compare(locked, locked, NOTHING).other.changed == ("README.md", "folder")
    assert compare(locked, side(), NOTHING).other.removed == ("README.md", "folder")
