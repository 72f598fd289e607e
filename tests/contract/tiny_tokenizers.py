"""Tokenizers trained on the spot, in the two shapes that real models have."""

import json
from collections.abc import Sequence
from pathlib import Path

from tests.contract.tiny_chats import CHATS, WEATHER_TOOL

__all__ = ["save_byte_level_tokenizer", "save_spm_tokenizer"]

CORPUS = (
    *(text for chat in CHATS for text in (chat.user, chat.raw_answer)),
    *[json.dumps(WEATHER_TOOL["function"]["parameters"])] * 3,  # often, so that prompts with tools stay short
    *["system\n# Tools\n\n<tools>\n</tools>", "assistant\n", "user\n"] * 5,
    "system user assistant model tools name description parameters type object properties string function",
    "The quick brown fox jumps over the lazy dog. one two three four five six seven eight nine ten",
)


def save_byte_level_tokenizer(
    path: Path,
    specials: Sequence[str],
    *,
    bos: str | None,
    eos: str,
    chat_template: str | None,
    plain_added: Sequence[str] = (),
) -> dict[str, int]:
    """Write a GPT-2-style byte-level BPE of 512 tokens; emoji take four tokens, one per byte.

    Args:
        specials: control tokens, skipped when decoding for people.
        plain_added: added tokens that are not control tokens, as qwen3's `<think>`.

    Returns:
        The id of every special and added token.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512 - len(plain_added),
        special_tokens=list(specials),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([text for text in CORPUS if text.isascii()], trainer)
    data = json.loads(tokenizer.to_str())
    for token in plain_added:  # in the vocabulary too, so that its size is the number of embeddings
        data["model"]["vocab"][token] = len(data["model"]["vocab"])
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in specials])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in plain_added])
    return _save(path, tokenizer.to_str(), bos, eos, chat_template, (*specials, *plain_added))


def save_spm_tokenizer(
    path: Path,
    specials: Sequence[str],
    *,
    bos: str,
    eos: str,
    chat_template: str | None,
    strips_leading_space: bool,
) -> dict[str, int]:
    """Write a sentencepiece-like BPE with byte fallback: what the corpus does not have is spelt in bytes.

    Args:
        strips_leading_space: text begins with the word mark, and decoding drops it, as in Llama 2 and
            Phi 3; else as in Gemma.

    Returns:
        The id of every special token.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, trainers

    mark = [normalizers.Prepend("▁")] if strips_leading_space else []
    strip = [decoders.Strip(" ", 1, 0)] if strips_leading_space else []
    normalizer = normalizers.Sequence([*mark, normalizers.Replace(" ", "▁")])
    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizer
    trainer = trainers.BpeTrainer(vocab_size=250, show_progress=False)
    trained.train_from_iterator([text for text in CORPUS if text.isascii()], trainer)
    learnt = json.loads(trained.to_str())["model"]

    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    words = [word for word, _ in sorted(learnt["vocab"].items(), key=lambda item: item[1])]
    tokens = dict.fromkeys((*specials, *byte_tokens, "\n", *words))
    vocab = {token: index for index, token in enumerate(tokens)}
    merges = [tuple(merge) for merge in learnt["merges"]]
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizer
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    )
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in specials])
    return _save(path, tokenizer.to_str(), bos, eos, chat_template, specials)


def _save(
    path: Path, text: str, bos: str | None, eos: str, chat_template: str | None, tokens: Sequence[str]
) -> dict[str, int]:
    path.mkdir(parents=True, exist_ok=True)
    (path / "tokenizer.json").write_text(text, encoding="utf-8")
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": eos,
        "clean_up_tokenization_spaces": False,
    }
    if bos is not None:
        settings["bos_token"] = bos
    if chat_template is not None:
        settings["chat_template"] = chat_template
    (path / "tokenizer_config.json").write_text(json.dumps(settings, ensure_ascii=False), encoding="utf-8")
    vocab = json.loads(text)["model"]["vocab"]
    return {token: vocab[token] for token in tokens}
