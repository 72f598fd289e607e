"""Trains the byte-level BPE tokenizer and turns conversations into token ids with a loss mask."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from tools.demo_model.dataset import Message

PAD = "<|endoftext|>"
START = "<|im_start|>"
END = "<|im_end|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] | trim + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


@dataclass(frozen=True)
class Sample:
    """One tokenized conversation: `ids` and `mask`, both of length T; mask is 1 on tokens to be learnt."""

    ids: tuple[int, ...]
    mask: tuple[int, ...]


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Byte-level BPE with `vocab_size` entries, the three special tokens and all 256 bytes among them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    specials = [AddedToken(text, special=True, normalized=False) for text in (PAD, START, END)]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def token_id(tokenizer: Tokenizer, token: str) -> int:
    """The id of `token`, which must exist."""
    found: int | None = tokenizer.token_to_id(token)
    if found is None:
        raise KeyError(token)
    return found


def save_tokenizer(tokenizer: Tokenizer, folder: Path, max_length: int) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json`; `max_length` is in tokens."""
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": None,
        "eos_token": END,
        "pad_token": PAD,
        "unk_token": None,
        "add_bos_token": False,
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": max_length,
        "chat_template": CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


class ConversationEncoder:
    """Encodes conversations as the chat template would, with BPE dropout on what the user says.

    Dropout now and then splits a known word into smaller pieces, so that the model learns to read words it
    has never seen whole, typing errors above all. Answers are always encoded the regular way.
    """

    def __init__(self, tokenizer: Tokenizer, dropout: float) -> None:
        self._regular = tokenizer
        self._noisy = Tokenizer.from_str(tokenizer.to_str())
        self._noisy.model.dropout = dropout
        self._end = self._regular.encode(f"{END}\n").ids

    def encode(self, messages: Sequence[Message], cut: int | None) -> Sample:
        """Token ids of the chat; the mask covers each answer and the end token after it.

        With `cut`, the chat ends after that many tokens of its last answer: which answer it is shows at its
        beginning, and short chats train faster.
        """
        ids: list[int] = []
        mask: list[int] = []
        for message in messages:
            head = self._regular.encode(f"{START}{message.role}\n").ids
            body = (self._noisy if message.role == "user" else self._regular).encode(message.content).ids
            learnt = int(message.role == "assistant")
            ids += [*head, *body, *self._end]
            mask += [0] * len(head) + [learnt] * (len(body) + 1) + [0] * (len(self._end) - 1)
        if cut is not None:
            length = len(ids) - len(self._end) - len(body) + cut
            ids, mask = ids[:length], mask[:length]
        return Sample(tuple(ids), tuple(mask))
