"""A model card's YAML front matter, of which only the keys that say what the model is are read."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlxk.domain.model import FrontMatter

if TYPE_CHECKING:
    import yaml

__all__ = ["MAX_CARD", "parse_card"]

MAX_CARD = 4 * 1024 * 1024
"""Bytes of a README that are looked at; evaluation results in front matter can reach megabytes."""

_BLOCK = re.compile(rb"(?:\xef\xbb\xbf)?---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)
_TOP_LEVEL = re.compile(rb"""^["']?([A-Za-z_][\w-]*)["']?\s*:""")
_WANTED = frozenset({b"tags", b"library_name", b"pipeline_tag", b"base_model"})
_MAX_EXCERPT = 64 * 1024
_MAX_ITEMS = 1000
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})


def parse_card(content: bytes) -> FrontMatter:
    """The front matter of a README; an empty one when there is none or it is no usable YAML."""
    excerpt = _excerpt(content[:MAX_CARD])
    if not excerpt or len(excerpt) > _MAX_EXCERPT:
        return FrontMatter()
    nodes = _nodes(excerpt)
    return FrontMatter(
        tags=_words(nodes.get("tags")),
        library_name=_word(nodes.get("library_name")),
        pipeline_tag=_word(nodes.get("pipeline_tag")),
        base_model=_words(nodes.get("base_model")),
    )


def _excerpt(content: bytes) -> bytes:
    """The lines of the wanted top-level keys between the first two `---` lines.

    Cutting them out first keeps a card with megabytes of evaluation results as cheap as any other.
    """
    block = _BLOCK.match(content)
    if block is None:
        return b""
    kept: list[bytes] = []
    keeping = False
    for line in block[1].splitlines():
        if key := _TOP_LEVEL.match(line):
            keeping = key[1] in _WANTED
        if keeping:
            kept.append(line)
    return b"\n".join(kept)


def _nodes(excerpt: bytes) -> "Mapping[str, yaml.Node]":
    """The node under each key. Composing nodes is half of what constructing values from them costs."""
    import yaml

    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        document = yaml.compose(excerpt, Loader=loader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    pairs = document.value if isinstance(document, yaml.MappingNode) else ()
    return {key.value: value for key, value in pairs if isinstance(key, yaml.ScalarNode)}


def _word(node: "yaml.Node | None") -> str | None:
    text = node.value if node is not None else None
    return text.strip() if isinstance(text, str) and text.strip() not in _NULLS else None


def _words(node: "yaml.Node | None") -> tuple[str, ...]:
    """A list of strings, which people also write as one string."""
    items = node.value[:_MAX_ITEMS] if node is not None and isinstance(node.value, list) else [node]
    return tuple(word for item in items if (word := _word(item)))
