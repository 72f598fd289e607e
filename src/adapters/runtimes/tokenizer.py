"""What the text runtime uses of an mlx-lm tokenizer, typed."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

from mlxk.domain.model import JsonValue

__all__ = ["AddedToken", "ChatEntry", "Detokenizer", "Tokenizer", "ToolParser"]

ChatEntry: TypeAlias = Mapping[str, JsonValue]
"""A message or a tool definition in the form chat templates read."""

ToolParser: TypeAlias = Callable[[str, Sequence[ChatEntry]], object]
"""Reads the text between tool markers; gives one call, or a list of calls, as dicts or `ToolCall`s."""


class Detokenizer(Protocol):
    """`mlx_lm.tokenizer_utils.StreamingDetokenizer`: tokens in, text out when characters are whole."""

    @property
    def last_segment(self) -> str:
        """The text that became readable since this was last asked for."""

    def add_token(self, token: int) -> None:
        """Take one token."""

    def finalize(self) -> None:
        """Make what was held back readable, incomplete characters as U+FFFD."""


class AddedToken(Protocol):
    """`tokenizers.AddedToken`; `special` ones are control tokens."""

    special: bool


class Tokenizer(Protocol):
    """`mlx_lm.tokenizer_utils.TokenizerWrapper`, as far as it is used here."""

    bos_token: str | None
    eos_token_ids: set[int]
    added_tokens_decoder: Mapping[int, AddedToken]

    @property
    def has_chat_template(self) -> bool: ...  # noqa: D102

    @property
    def has_thinking(self) -> bool: ...  # noqa: D102

    @property
    def think_start(self) -> str | None: ...  # noqa: D102

    @property
    def think_end(self) -> str | None: ...  # noqa: D102

    @property
    def has_tool_calling(self) -> bool: ...  # noqa: D102

    @property
    def tool_call_start(self) -> str | None: ...  # noqa: D102

    @property
    def tool_call_end(self) -> str | None: ...  # noqa: D102

    @property
    def structural_markers(self) -> Sequence[str]: ...  # noqa: D102

    @property
    def tool_parser(self) -> ToolParser | None: ...  # noqa: D102

    @property
    def response_transitions(self) -> Mapping[str, Sequence[tuple[str, str]]]: ...  # noqa: D102

    @property
    def response_initial_state(self) -> str | None: ...  # noqa: D102

    @property
    def detokenizer(self) -> Detokenizer: ...  # noqa: D102

    def __len__(self) -> int: ...

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]: ...  # noqa: D102

    def convert_ids_to_tokens(self, token: int) -> str: ...  # noqa: D102

    def decode(self, tokens: Sequence[int]) -> str: ...  # noqa: D102

    def apply_chat_template(  # noqa: D102
        self,
        messages: Sequence[ChatEntry],
        *,
        tokenize: bool = True,
        add_generation_prompt: bool = False,
        **settings: object,
    ) -> str | list[int]: ...
