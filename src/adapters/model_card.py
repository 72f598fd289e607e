"""A model card's YAML front matter, of which only the keys that say what the model is are read."""

import re
from typing import TYPE_CHECKING, TypeAlias

from mlxk.domain.model import FrontMatter

if TYPE_CHECKING:
    import yaml

_Fields: TypeAlias = dict[str, str | list[str]]

__all__ = ["MAX_CARD", "parse_card"]

MAX_CARD = 4 * 1024 * 1024
"""Bytes of a README that are looked at; evaluation results in front matter can reach megabytes."""

_BLOCK = re.compile(rb"(?:\xef\xbb\xbf)?---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)
_TOP_LEVEL = re.compile(rb"""^["']?([A-Za-z_][\w-]*)["']?\s*:""")
_WANTED = frozenset({b"tags", b"library_name", b"pipeline_tag", b"base_model"})
_MAX_EXCERPT = 64 * 1024
_MAX_ITEMS = 1000
_PLAIN_LINE = re.compile(
    r"(?P<key>[a-z_]+):(?: (?P<word>[A-Za-z][A-Za-z0-9_./-]*))?|- (?P<item>[A-Za-z][A-Za-z0-9_./-]*)"
)
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})


def parse_card(content: bytes) -> FrontMatter:
    """The front matter of a README; an empty one when there is none or it is no usable YAML."""
    excerpt = _excerpt(content[:MAX_CARD])
    if not excerpt or len(excerpt) > _MAX_EXCERPT:
        return FrontMatter()
    fields = _plain_fields(excerpt) or _yaml_fields(excerpt)
    return FrontMatter(
        tags=_words(fields.get("tags")),
        library_name=_word(fields.get("library_name")),
        pipeline_tag=_word(fields.get("pipeline_tag")),
        base_model=_words(fields.get("base_model")),
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


def _plain_fields(excerpt: bytes) -> _Fields:
    """The fields of a card of one-word lines, as the Hub's own tools write them; empty for any other.

    Such lines mean the same to every YAML parser, and setting one up costs more than all else in a listing.
    """
    fields: _Fields = {}
    items: list[str] | None = None
    for line in excerpt.decode("latin-1").splitlines():
        found = _PLAIN_LINE.fullmatch(line)
        if found is None or found["key"] in fields or (found["item"] and items is None):
            return {}
        if items is not None and found["item"]:
            items.append(found["item"])
        elif found["word"]:
            fields[found["key"]], items = found["word"], None
        else:
            fields[found["key"]] = items = []
    return fields


def _yaml_fields(excerpt: bytes) -> _Fields:
    """The fields of any card. Composing nodes is half of what constructing values from them costs."""
    import yaml

    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        document = yaml.compose(excerpt, Loader=loader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    pairs = document.value if isinstance(document, yaml.MappingNode) else ()
    return {key.value: _texts(value) for key, value in pairs if isinstance(key, yaml.ScalarNode)}


def _texts(node: "yaml.Node") -> str | list[str]:
    import yaml

    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    items = node.value[:_MAX_ITEMS] if isinstance(node, yaml.SequenceNode) else []
    return [item.value for item in items if isinstance(item, yaml.ScalarNode)]


def _word(value: str | list[str] | None) -> str | None:
    return value.strip() if isinstance(value, str) and value.strip() not in _NULLS else None


def _words(value: str | list[str] | None) -> tuple[str, ...]:
    """A list of strings, which people also write as one string."""
    items = value if isinstance(value, list) else [value]
    return tuple(word for item in items if (word := _word(item)))
