"""Tiny real models, built on the spot: two layers, random or overfitted weights, a tokenizer trained here.

Every builder takes the directory to fill (made when missing) and returns it, so tests and tools can load
the result like any other model. Nothing is downloaded; the same arguments give the same files.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten

from tests.contract.tiny_chats import CHATS, WEATHER_TOOL, Chat
from tests.contract.tiny_templates import CHATML, CHATML_OPENS_THINKING, GEMMA, LLAMA3, PHI3
from tests.contract.tiny_tokenizers import save_byte_level_tokenizer, save_spm_tokenizer

__all__ = [
    "CHATS",
    "WEATHER_TOOL",
    "Chat",
    "build_bitnet",
    "build_gemma",
    "build_gemma3",
    "build_llama",
    "build_llama4",
    "build_mamba",
    "build_overfitted_qwen3",
    "build_phi3",
    "build_quantized",
    "build_qwen3",
    "with_chat_template",
    "without_end_of_turn",
]

CONTEXT = 512
"""Context length, in tokens, of every model here."""


def build_llama(path: Path, **config: object) -> Path:
    """A llama with a byte-level BPE tokenizer, Llama 3's template and two end tokens.

    Only `generation_config.json` lists the second end token, `<|eot_id|>`.
    """
    ends = ("<|end_of_text|>", "<|eot_id|>")
    specials = ("<|begin_of_text|>", *ends, "<|start_header_id|>", "<|end_header_id|>")
    ids = save_byte_level_tokenizer(
        path, specials, bos="<|begin_of_text|>", eos="<|end_of_text|>", chat_template=LLAMA3
    )
    _write_json(path / "generation_config.json", {"eos_token_id": [ids[end] for end in ends]})
    return _save_random_model(path, {"model_type": "llama", "eos_token_id": ids["<|end_of_text|>"]} | config)


def build_qwen3(path: Path, **config: object) -> Path:
    """A qwen3 with thinking and Hermes-style tools in its ChatML template; random weights."""
    return _save_random_model(path, _qwen3_tokenizer(path) | {"model_type": "qwen3", "head_dim": 16} | config)


def build_gemma(path: Path, **config: object) -> Path:
    """A gemma2 with a sentencepiece-like tokenizer, whose template refuses the system role.

    Its `eos_token_id` is `<eos>` alone, as in some conversions: its template has the end of a turn.
    """
    return _save_random_model(path, _gemma_tokenizer(path) | {
        "model_type": "gemma2", "head_dim": 16, "query_pre_attn_scalar": 16,
        "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0, "sliding_window": CONTEXT,
    } | config)  # fmt: skip


def build_gemma3(path: Path, **config: object) -> Path:
    """A gemma3_text: its sliding-window layers use rotating caches that cannot be trimmed once full."""
    return _save_random_model(path, _gemma_tokenizer(path) | {
        "model_type": "gemma3_text", "head_dim": 16, "query_pre_attn_scalar": 16,
        "sliding_window": 32, "sliding_window_pattern": 2,
    } | config)  # fmt: skip


def build_phi3(path: Path, **config: object) -> Path:
    """A phi3 with a sentencepiece-like tokenizer that strips a leading space; no `generation_config.json`."""
    ids = save_spm_tokenizer(
        path,
        ("<unk>", "<s>", "</s>", "<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
        bos="<s>",
        eos="<|endoftext|>",
        chat_template=PHI3,
        strips_leading_space=True,
    )
    shape = {"model_type": "phi3", "num_key_value_heads": 4, "eos_token_id": ids["<|endoftext|>"]}
    return _save_random_model(path, shape | config)


def build_llama4(path: Path, **config: object) -> Path:
    """A llama4: its chunked caches cannot be merged into a batch."""
    text = _shape(path, _qwen3_tokenizer(path)) | {
        "model_type": "llama4_text", "num_hidden_layers": 4, "head_dim": 16, "attention_bias": False,
        "attention_chunk_size": 64, "interleave_moe_layer_step": 1, "intermediate_size_mlp": 128,
        "num_experts_per_tok": 1, "num_local_experts": 2, "rope_scaling": None,
        "use_qk_norm": True, "rope_theta": 10000.0,
    }  # fmt: skip
    return _save_random_model(path, {"model_type": "llama4", "text_config": text} | config)


def build_mamba(path: Path, **config: object) -> Path:
    """A mamba: its recurrent state can be batched, but not trimmed."""
    return _save_random_model(path, _qwen3_tokenizer(path) | {
        "model_type": "mamba", "state_size": 16, "conv_kernel": 4, "use_bias": False, "use_conv_bias": True,
        "time_step_rank": 4,
    } | config)  # fmt: skip


def build_quantized(source: Path, path: Path, *, bits: int = 4, group_size: int = 32) -> Path:
    """Quantize the model in `source` with mlx-lm's own quantizer."""
    from mlx_lm.utils import load_model, quantize_model, save_config, save_model

    model, config = load_model(source)
    model, config = quantize_model(model, config, group_size=group_size, bits=bits)
    path.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        if (source / name).exists():
            shutil.copy(source / name, path / name)
    save_model(path, model)
    save_config(config, config_path=path / "config.json")
    return path


def build_bitnet(path: Path) -> Path:
    """A llama whose layers are packed as `bitnet`, which no package turns into layers of MLX."""
    from mlx_lm.models.bitlinear_layers import bitnet_quantize
    from mlx_lm.utils import load_model, save_model

    build_llama(path)
    settings = {"quant_method": "bitnet", "linear_class": "autobitlinear", "bits": 2, "group_size": 64}
    model, config = load_model(path)
    save_model(path, bitnet_quantize(model, settings))
    _write_json(path / "config.json", config | {"quantization_config": settings})
    return path


def build_overfitted_qwen3(path: Path, *, steps: int = 120) -> Path:
    """A qwen3 that answers every chat of `CHATS` word for word when decoded greedily; takes seconds."""
    build_qwen3(path)
    from mlx_lm.utils import load

    model, tokenizer = load(str(path))
    model.train()
    # two batches by length: padding the short chats to the long ones would double the work
    groups = [[chat for chat in CHATS if chat.with_tools is tools] for tools in (False, True)]
    _overfit(model, [_training_batch(tokenizer, chats) for chats in groups], steps=steps)
    _save_weights(path, model)
    return path


def with_chat_template(source: Path, path: Path, chat_template: str | None = CHATML_OPENS_THINKING) -> Path:
    """A copy of a model with another chat template, or none; by default one that opens `<think>` itself."""
    shutil.copytree(source, path)
    settings = json.loads((path / "tokenizer_config.json").read_text(encoding="utf-8"))
    settings.pop("chat_template", None)
    if chat_template is not None:
        settings["chat_template"] = chat_template
    _write_json(path / "tokenizer_config.json", settings)
    return path


def without_end_of_turn(source: Path, path: Path) -> Path:
    """A copy of a qwen3 whose files name `<|endoftext|>` alone, as careless conversions do."""
    shutil.copytree(source, path)
    (path / "generation_config.json").unlink()
    for name, key, value in (
        ("tokenizer_config", "eos_token", "<|endoftext|>"),
        ("config", "eos_token_id", 0),
    ):
        settings = json.loads((path / f"{name}.json").read_text(encoding="utf-8"))
        _write_json(path / f"{name}.json", settings | {key: value})
    return path


def _qwen3_tokenizer(path: Path) -> dict[str, object]:
    specials = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    plain = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>")
    ids = save_byte_level_tokenizer(
        path, specials, bos=None, eos="<|im_end|>", chat_template=CHATML, plain_added=plain
    )
    _write_json(path / "generation_config.json", {"eos_token_id": [ids["<|im_end|>"], ids["<|endoftext|>"]]})
    return {"eos_token_id": ids["<|im_end|>"]}


def _gemma_tokenizer(path: Path) -> dict[str, object]:
    ids = save_spm_tokenizer(
        path,
        ("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"),
        bos="<bos>",
        eos="<eos>",
        chat_template=GEMMA,
        strips_leading_space=False,
    )
    return {"eos_token_id": ids["<eos>"]}


def _shape(path: Path, config: Mapping[str, object]) -> dict[str, Any]:
    """The size of a tiny model, in the names of Hugging Face configs, under what `config` says."""
    return {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "intermediate_size": 128,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-6,
        "vocab_size": len(
            json.loads((path / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
        ),
        "max_position_embeddings": CONTEXT,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "pad_token_id": None,
        **config,
    }


def _save_random_model(path: Path, config: Mapping[str, object], *, seed: int = 0) -> Path:
    from mlx_lm.utils import _get_classes

    full = _shape(path, config)
    model_class, args_class = _get_classes(full)
    mx.random.seed(seed)
    _save_weights(path, model_class(args_class.from_dict(full)))
    _write_json(path / "config.json", full)
    return path


def _save_weights(path: Path, model: nn.Module) -> None:
    mx.save_safetensors(
        str(path / "model.safetensors"), dict(tree_flatten(model.parameters())), {"format": "mlx"}
    )


def _write_json(path: Path, value: Mapping[str, object]) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")


def _training_batch(tokenizer: Any, chats: Sequence[Chat]) -> tuple[mx.array, mx.array]:
    """Token ids and a mask of what is answered, both of shape [chats, longest chat]."""
    rows = []
    for chat in chats:
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": chat.user}],
            tools=[WEATHER_TOOL] if chat.with_tools else None,
            add_generation_prompt=True,
            enable_thinking=chat.thinking,
        )
        answer = tokenizer.encode(chat.raw_answer + "<|im_end|>", add_special_tokens=False)
        rows.append((prompt, answer))
    longest = max(len(prompt) + len(answer) for prompt, answer in rows)
    tokens = [p + a + [0] * (longest - len(p) - len(a)) for p, a in rows]
    mask = [[0] * len(p) + [1] * len(a) + [0] * (longest - len(p) - len(a)) for p, a in rows]
    return mx.array(tokens), mx.array(mask)


def _overfit(model: nn.Module, batches: Sequence[tuple[mx.array, mx.array]], *, steps: int) -> None:
    """Train until the mean loss over the answers' tokens is small, at most `steps` steps."""
    import mlx.optimizers as optim

    answered = sum(mask.sum().item() for _, mask in batches)

    def loss(model: nn.Module) -> mx.array:
        total = mx.array(0.0)
        for tokens, mask in batches:
            losses = nn.losses.cross_entropy(model(tokens[:, :-1]), tokens[:, 1:])
            total += (losses * mask[:, 1:]).sum() / answered
        return total

    warmup = optim.linear_schedule(5e-4, 6e-3, 8)
    optimizer = optim.Adam(learning_rate=optim.join_schedules([warmup, lambda _: mx.array(6e-3)], [8]))
    step = nn.value_and_grad(model, loss)
    for _ in range(steps):
        value, gradients = step(model)
        optimizer.update(model, gradients)
        mx.eval(model.parameters(), optimizer.state)
        if value.item() < 4e-3:
            break
