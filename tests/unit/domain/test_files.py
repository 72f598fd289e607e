"""What a file is for, by its name. What follows for health is tested there."""

import pytest

from mlxk.domain.files import FileRole, is_documentation, is_weight_file, role_of


@pytest.mark.parametrize(
    ("path", "role"),
    [
        ("model.safetensors", FileRole.WEIGHTS),
        ("2_Dense/model.safetensors", FileRole.WEIGHTS),
        ("adapters.safetensors", FileRole.WEIGHTS),
        ("weights.npz", FileRole.WEIGHTS),
        ("Q4/model.gguf", FileRole.WEIGHTS),
        ("training_args.bin", FileRole.OTHER),
        ("tokenizer.json", FileRole.TOKENIZER),
        ("original/tokenizer.model", FileRole.TOKENIZER),
        ("merges.txt", FileRole.TOKENIZER),
        ("tokenizer_config.json", FileRole.CONFIG),
        ("model.safetensors.index.json", FileRole.CONFIG),
        ("chat_template.jinja", FileRole.CONFIG),
        ("README.md", FileRole.OTHER),
        ("modeling_x.py", FileRole.OTHER),
        ("", FileRole.OTHER),
    ],
)
def test_the_role_of_a_file(path: str, role: FileRole) -> None:
    assert role_of(path) is role


def test_weights_in_folders_are_the_models_only_as_gguf() -> None:
    assert is_weight_file("Q4/model.gguf")
    assert not is_weight_file("original/consolidated.safetensors")


@pytest.mark.parametrize(
    "path", ["notes.md", "a/b.JPEG", "x.gif", "x.webp", "x.svg", "x.mp4", "Readme.txt", "COPYING"]
)
def test_documentation_is_for_people(path: str) -> None:
    assert is_documentation(path)


@pytest.mark.parametrize(
    "path", ["license_plates.json", "mdfile", "license.safetensors", "notice.py", "x.txt"]
)
def test_other_files_are_not(path: str) -> None:
    assert not is_documentation(path)
