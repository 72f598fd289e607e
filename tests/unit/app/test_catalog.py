import pytest

from mlxk.app.catalog import Catalog
from mlxk.domain.errors import AmbiguousMatch, ErrorKind, InvalidInput, MlxkError, ModelNotFound
from mlxk.domain.model import ModelRecord, Source
from tests.memory_ports import MemoryModelStore, MemoryWorkspaceStore, Repository

A, B = "a" * 40, "b" * 40


class Bundled(MemoryModelStore):
    """One model that ships with the program."""

    def records(self) -> list[ModelRecord]:
        return [ModelRecord("demo", "/package/demo", Source.BUNDLED)]


@pytest.fixture
def catalog() -> Catalog:
    cache = MemoryModelStore(
        Repository("mlx-community/Llama-3.2-1B", [A, B], {"main": A, "old": B}),
        Repository("mlx-community/Llama-3.2-3B", [A], {"main": A}),
        Repository("org/whisper", [A]),
    )
    workspaces = MemoryWorkspaceStore(
        "/ws", ["/ws/mine", "/ws/mining", "/other/x"], ["/ws", "/other"], working_directory="/ws"
    )
    return Catalog(cache, workspaces, Bundled())


def names(catalog: Catalog, pattern: str | None) -> list[str]:
    return [record.display_name or record.name for record in catalog.matching(pattern)]


def test_all_models_are_workspaces_then_cache_then_bundled(catalog: Catalog) -> None:
    everything = ["/ws/mine", "/ws/mining", "mlx-community/Llama-3.2-1B", "mlx-community/Llama-3.2-3B"]
    assert [record.name for record in catalog.records()] == [*everything, "org/whisper", "demo"]
    assert catalog.matching(None) == catalog.records()


@pytest.mark.parametrize(
    ("text", "name", "revision"),
    [
        ("Llama-3.2-1B", "mlx-community/Llama-3.2-1B", A),
        ("llama-3.2-1b@old", "mlx-community/Llama-3.2-1B", B),
        ("1B@bbb", "mlx-community/Llama-3.2-1B", B),
        ("WHISPER", "org/whisper", A),
        ("mine", "/ws/mine", None),
        ("./mine", "/ws/mine", None),
        ("../other/x", "/other/x", None),
        ("/other/x", "/other/x", None),
        ("demo", "demo", None),
    ],
)
def test_a_name_or_path_finds_one_model(catalog: Catalog, text: str, name: str, revision: str | None) -> None:
    record = catalog.find(text)
    assert (record.name, record.revision) == (name, revision)


def test_a_part_of_several_names_is_ambiguous(catalog: Catalog) -> None:
    with pytest.raises(AmbiguousMatch) as caught:
        catalog.find("llama")
    assert list(caught.value.matches) == ["mlx-community/Llama-3.2-1B", "mlx-community/Llama-3.2-3B"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("lama-3.2-1b-it", ErrorKind.MODEL_NOT_FOUND),
        ("whisper@nope", ErrorKind.MODEL_NOT_FOUND),
        ("demo@main", ErrorKind.MODEL_NOT_FOUND),
        ("./nowhere", ErrorKind.WORKSPACE_NOT_FOUND),
        ("", ErrorKind.VALIDATION),
        ("whisper@", ErrorKind.VALIDATION),
        ("x" * 97, ErrorKind.VALIDATION),
    ],
)
def test_what_finds_nothing_says_what_to_do(catalog: Catalog, text: str, kind: ErrorKind) -> None:
    with pytest.raises(MlxkError) as caught:
        catalog.find(text)
    assert caught.value.kind is kind
    assert caught.value.hint


def test_a_misspelt_name_offers_close_ones(catalog: Catalog) -> None:
    with pytest.raises(ModelNotFound) as caught:
        catalog.find("whispre")
    assert caught.value.matches == ("org/whisper",)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("LLAMA", ["mlx-community/Llama-3.2-1B", "mlx-community/Llama-3.2-3B"]),
        ("min", ["/ws/mine", "/ws/mining"]),
        ("demo", ["demo"]),
        ("nothing", []),
        (".", ["./mine", "./mining"]),
        ("./", ["./mine", "./mining"]),
        ("./mini", ["./mining"]),
        ("../other", ["../other/x"]),
        ("/other/", ["/other/x"]),
        ("/nowhere", []),
        ("1b@old", ["mlx-community/Llama-3.2-1B"]),
    ],
)
def test_a_pattern_filters(catalog: Catalog, pattern: str, expected: list[str]) -> None:
    assert names(catalog, pattern) == expected


def test_a_pattern_with_a_revision_means_that_one(catalog: Catalog) -> None:
    assert [record.revision for record in catalog.matching("1b@old")] == [B]
    with pytest.raises(ModelNotFound):
        catalog.matching("1b@nope")


@pytest.mark.parametrize("pattern", ["", "  ", "x@", "@x"])
def test_a_pattern_that_is_no_name_is_refused(catalog: Catalog, pattern: str) -> None:
    with pytest.raises(InvalidInput):
        catalog.matching(pattern)


def test_a_place_that_cannot_be_read_is_an_error_not_an_empty_list() -> None:
    catalog = Catalog(MemoryModelStore(unreadable=True), MemoryWorkspaceStore(), MemoryModelStore())
    with pytest.raises(MlxkError) as caught:
        catalog.records()
    assert caught.value.kind is ErrorKind.PERMISSION
