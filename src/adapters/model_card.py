"""A model card's YAML front matter, of which only the keys that say what the model is are read."""

import re

from mlxk.domain.model import FrontMatter

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
    fields = _load(excerpt)
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


def _load(excerpt: bytes) -> dict[object, object]:
    import yaml

    # The base loader makes every scalar a string, which is what tags and names are.
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        fields = yaml.load(excerpt, Loader=loader)  # noqa: S506 - the base loader builds no objects
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _word(value: object) -> str | None:
    return value.strip() if isinstance(value, str) and value not in _NULLS else None


def _words(value: object) -> tuple[str, ...]:
    """A list of strings, which people also write as one string."""
    items = value[:_MAX_ITEMS] if isinstance(value, list) else [value]
    return tuple(word for item in items if (word := _word(item)))
