"""The model, its training loop and the folder it is saved to."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten
from mlx_lm.models.llama import Model, ModelArgs

from tools.demo_model.chat_tokenizer import ConversationEncoder, Sample
from tools.demo_model.dataset import ConversationSampler

Batch = tuple[mx.array, mx.array]
BUCKET_BATCHES = 24
LENGTH_STEP = 4
CUT = 8
WHOLE_ANSWERS = 0.15
EMBEDDING_DEVIATION = 0.2
FINAL_NORM = 0.1
RESIDUAL_SCALE = 0.35
SHARPNESS = 2.0


@dataclass(frozen=True)
class Architecture:
    """Sizes of the network; all widths are multiples of 64, so that every matrix can be quantized."""

    vocab_size: int = 1536
    hidden_size: int = 128
    intermediate_size: int = 256
    num_hidden_layers: int = 4
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    head_dim: int = 64
    max_position_embeddings: int = 2048
    rope_theta: float = 10000.0
    rms_norm_eps: float = 1e-5


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train: `batch` in conversations, `warmup` and `steps` in optimizer steps."""

    steps: int
    batch: int
    peak_rate: float
    warmup: int = 50
    weight_decay: float = 0.05
    clip: float = 1.0


def model_config(shape: Architecture, eos: int, pad: int) -> dict[str, object]:
    """The content of `config.json`; `eos` and `pad` are token ids."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        **asdict(shape),
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": eos,
        "pad_token_id": pad,
        "dtype": "float16",
        "torch_dtype": "float16",
    }


def build_model(config: dict[str, object]) -> Model:
    """A freshly initialized float32 llama model.

    Embeddings start large next to what the layers add to them, so that words stay apart from the beginning
    and one step of Adam does not overwrite a rare one; the small final norm keeps the first logits near zero.
    """
    model = Model(ModelArgs.from_dict(config))
    inner = model.model
    inner.embed_tokens.weight = mx.random.normal(inner.embed_tokens.weight.shape) * EMBEDDING_DEVIATION
    inner.norm.weight = mx.full(inner.norm.weight.shape, FINAL_NORM)
    for layer in inner.layers:
        layer.self_attn.o_proj.weight = layer.self_attn.o_proj.weight * RESIDUAL_SCALE
        layer.mlp.down_proj.weight = layer.mlp.down_proj.weight * RESIDUAL_SCALE
    mx.eval(model.parameters())
    return model


def pack(samples: list[Sample], pad: int) -> Batch:
    """Pad B samples to one length T + 1, T a multiple of `LENGTH_STEP`.

    Returns ids (B, T + 1), and the N flat positions in (B * T) after which an answer token is
    to be predicted.
    """
    longest = max(len(sample.ids) for sample in samples) - 1
    length = -(-longest // LENGTH_STEP) * LENGTH_STEP
    ids = [[*sample.ids, *[pad] * (length + 1 - len(sample.ids))] for sample in samples]
    positions = [
        row * length + column - 1
        for row, sample in enumerate(samples)
        for column, learnt in enumerate(sample.mask)
        if learnt
    ]
    return mx.array(ids, dtype=mx.int32), mx.array(positions, dtype=mx.int32)


def batches(
    sampler: ConversationSampler, encoder: ConversationEncoder, size: int, pad: int
) -> Iterator[Batch]:
    """An endless stream of batches of `size` conversations of like length."""
    rng = random.Random(0)
    while True:
        cuts = (None if rng.random() < WHOLE_ANSWERS else CUT for _ in range(size * BUCKET_BATCHES))
        pool = [encoder.encode(sampler.conversation(), cut) for cut in cuts]
        pool.sort(key=lambda sample: len(sample.ids))
        for index in rng.sample(range(BUCKET_BATCHES), BUCKET_BATCHES):
            yield pack(pool[index * size : (index + 1) * size], pad)


def answer_loss(model: Model, ids: mx.array, positions: mx.array) -> mx.array:
    """Mean cross entropy in nats over the N answer tokens; `ids` is (B, T + 1), `positions` is (N,).

    The logits, the widest product of the network, are computed for the answer tokens only.
    """
    hidden = model.model(ids[:, :-1])
    chosen = hidden.reshape(-1, hidden.shape[-1])[positions]
    logits = model.model.embed_tokens.as_linear(chosen)
    loss: mx.array = nn.losses.cross_entropy(logits, ids[:, 1:].reshape(-1)[positions], reduction="mean")
    return loss


def learning_rate(schedule: Schedule) -> Callable[[mx.array], mx.array]:
    """Linear warm-up, then cosine decay to a fiftieth of the peak."""
    peak = schedule.peak_rate
    warmup = optim.linear_schedule(1e-5, peak, schedule.warmup)
    decay = optim.cosine_decay(peak, schedule.steps - schedule.warmup, peak / 50)
    joined: Callable[[mx.array], mx.array] = optim.join_schedules([warmup, decay], [schedule.warmup])
    return joined


def train(model: Model, stream: Iterator[Batch], schedule: Schedule) -> float:
    """Train in place; returns the wall time in seconds."""
    optimizer = optim.AdamW(learning_rate(schedule), betas=[0.9, 0.99], weight_decay=schedule.weight_decay)
    gradients_of = nn.value_and_grad(model, partial(answer_loss, model))
    recent: list[float] = []
    begun = time.perf_counter()
    for step in range(1, schedule.steps + 1):
        loss, gradients = gradients_of(*next(stream))
        gradients, _ = optim.clip_grad_norm(gradients, schedule.clip)
        optimizer.update(model, gradients)
        mx.eval(model.parameters(), optimizer.state, loss)
        recent.append(loss.item())
        if step % 50 == 0 or step == schedule.steps:
            spent = time.perf_counter() - begun
            print(
                f"step {step:5d}  loss {sum(recent[-50:]) / len(recent[-50:]):.4f}  {spent:6.1f} s",
                flush=True,
            )
    return time.perf_counter() - begun


def save_model(model: Model, config: dict[str, object], folder: Path) -> None:
    """Write float16 weights, `config.json` and `generation_config.json`.

    The final norm sharpens the logits: the best token stays the best, and sampling strays less.
    """
    model.model.norm.weight = model.model.norm.weight * SHARPNESS
    weights = {name: array.astype(mx.float16) for name, array in tree_flatten(model.parameters())}
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})
    generation = {
        "eos_token_id": [config["eos_token_id"], config["pad_token_id"]],
        "pad_token_id": config["pad_token_id"],
        "do_sample": True,
        "temperature": 0.7,
        "top_p": 0.9,
        "repetition_penalty": 1.1,
    }
    _write_json(folder / "config.json", config)
    _write_json(folder / "generation_config.json", generation)


def _write_json(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
