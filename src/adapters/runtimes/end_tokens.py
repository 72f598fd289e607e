"""Which tokens end an answer: all that the model's files name, and the one its chat template writes."""

import json
from collections.abc import Mapping
from pathlib import Path

from mlxk.adapters.runtimes.tokenizer import Tokenizer
from mlxk.domain.model import JsonObject, JsonValue

__all__ = ["end_tokens", "read_json_object"]

QUESTION, ANSWER = "question", "plainanswer"

TEMPLATE_ERRORS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What a template may raise besides jinja2's own errors."""


def read_json_object(path: Path) -> JsonObject:
    """The JSON object in a file; empty when there is no such file or it is something else."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def end_tokens(tokenizer: Tokenizer, path: Path) -> frozenset[int]:
    """The end tokens of the model in a directory.

    The union of the tokenizer's, those of `config.json` (its `text_config` too), the list of
    `generation_config.json`, and the special token that the chat template puts right after an assistant's
    answer: conversions often forget to list that one.
    """
    config = read_json_object(path / "config.json")
    generation = read_json_object(path / "generation_config.json")
    text_config = config.get("text_config")
    sources = [config, generation, text_config if isinstance(text_config, Mapping) else {}]
    listed = {token for source in sources for token in _token_ids(source.get("eos_token_id"))}
    return frozenset({*tokenizer.eos_token_ids, *listed, *_end_of_turn(tokenizer)})


def _token_ids(value: JsonValue) -> list[int]:
    values = value if isinstance(value, list) else [value]
    return [item for item in values if isinstance(item, int) and not isinstance(item, bool)]


def _end_of_turn(tokenizer: Tokenizer) -> list[int]:
    """The special token right after an answer, as the template renders a finished exchange; or nothing."""
    from jinja2 import TemplateError

    if not tokenizer.has_chat_template:
        return []
    messages = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": ANSWER}]
    try:
        rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=False)
    except (TemplateError, *TEMPLATE_ERRORS):
        return []
    if not isinstance(rendered, str) or ANSWER not in rendered:
        return []
    after = tokenizer.encode(rendered.rpartition(ANSWER)[2].lstrip(), add_special_tokens=False)
    added = tokenizer.added_tokens_decoder
    return [token for token in after[:1] if token in added and added[token].special]
