"""Front matter as people write it, and as they should not."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxk.adapters.model_card import parse_card
from mlxk.domain.model import FrontMatter

TYPICAL = b"""---
language:
- en
library_name: mlx
license: apache-2.0
base_model: Qwen/Qwen3-0.6B   # a comment
tags:
- mlx
- "4-bit"
pipeline_tag: text-generation
model-index:
- name: tags
  results: [{tags: no}]
---
# A model

---
tags: [not, these]
---
"""


def test_a_typical_card() -> None:
    assert parse_card(TYPICAL) == FrontMatter(
        ("mlx", "4-bit"), "mlx", "text-generation", ("Qwen/Qwen3-0.6B",)
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tags: mlx", FrontMatter(tags=("mlx",))),
        ("tags: [mlx, 1.0, null, [deep], {a: b}]", FrontMatter(tags=("mlx", "1.0"))),
        ("tags:\n  - mlx\n  - yes", FrontMatter(tags=("mlx", "yes"))),
        ('"tags": [mlx]', FrontMatter(tags=("mlx",))),
        ("tags:", FrontMatter()),
        ("tags: {a: b}", FrontMatter()),
        ("library_name: [mlx]", FrontMatter()),
        ("library_name: ~\npipeline_tag: null", FrontMatter()),
        ("base_model:\n- a/b\n- c/d\n", FrontMatter(base_model=("a/b", "c/d"))),
        ("# tags: [no]\nlibrary_name: mlx", FrontMatter(library_name="mlx")),
        ("tags: [mlx", FrontMatter()),
        ("tags: *nowhere", FrontMatter()),
        ("tags: !!python/object/apply:os.system [ls]", FrontMatter(tags=("ls",))),
        ("- a\n- list", FrontMatter()),
        ("just words", FrontMatter()),
        ("tags: \x00", FrontMatter()),
    ],
)
def test_any_front_matter(text: str, expected: FrontMatter) -> None:
    assert parse_card(f"---\n{text}\n---\n".encode()) == expected


@pytest.mark.parametrize(
    "content", [b"", b"# Title\n", b"---\n", b"---\ntags: [mlx]\n", b"\xff\xfe", b"----\ntags: [mlx]\n---\n"]
)
def test_no_front_matter(content: bytes) -> None:
    assert parse_card(content) == FrontMatter()


def test_windows_line_ends_and_a_byte_order_mark() -> None:
    content = b"\xef\xbb\xbf" + TYPICAL.replace(b"\n", b"\r\n")
    assert parse_card(content) == parse_card(TYPICAL)


def test_an_alias_bomb_and_megabytes_of_results_cost_little() -> None:
    bomb = "tags: &a [x,x,x,x,x,x,x,x]\n" + "".join(
        f"{key}: &{key} [{','.join([f'*{before}'] * 9)}]\n"
        for before, key in zip("abcdefgh", "bcdefghi", strict=True)
    )
    nested = "tags: " + "[" * 30_000
    results = "model-index:\n" + "- name: x\n  value: 0.5\n" * 100_000 + "tags: [mlx]\n"
    started = time.perf_counter()
    for text in (bomb, nested, results):
        parse_card(f"---\n{text}---\n".encode())
    assert parse_card(f"---\n{results}---\n".encode()).tags == ("mlx",)
    assert time.perf_counter() - started < 5


@given(st.binary(max_size=300))
def test_no_content_raises(content: bytes) -> None:
    parse_card(content)
    parse_card(b"---\ntags: " + content + b"\n---\n")


PLAIN_WORDS = st.sampled_from(
    ["mlx", "null", "Null", "true", "org/model-4bit", "text-generation", "a.b_c", "e1"]
)
PLAIN_LINES = st.one_of(
    st.sampled_from(["tags:", "library_name:", "base_model:", "pipeline_tag:"]),
    st.builds("{}: {}".format, st.sampled_from(["tags", "library_name", "base_model"]), PLAIN_WORDS),
    st.builds("- {}".format, PLAIN_WORDS),
    st.builds("library_name:{}".format, PLAIN_WORDS),
)


@given(st.lists(PLAIN_LINES, max_size=6))
def test_plain_lines_mean_what_yaml_says(lines: list[str]) -> None:
    """The quick way and the YAML library agree; a comment keeps a card from being plain."""
    plain = "\n".join(["---", *lines, "---", ""])
    commented = "\n".join(["---", *(f"{line} # x" for line in lines), "---", ""])
    assert parse_card(plain.encode()) == parse_card(commented.encode())
