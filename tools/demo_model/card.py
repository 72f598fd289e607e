"""Writes the model card, with the scores measured on the saved folder."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from tools.demo_model.dataset import Questions
from tools.demo_model.evaluation import REPETITION_PENALTY, TEMPERATURE, TOP_P, Outcome, Score
from tools.demo_model.trainer import SHARPNESS, Architecture, Schedule

FRONT_MATTER = """\
---
license: apache-2.0
library_name: mlx
pipeline_tag: text-generation
language:
- en
tags:
- mlx
---
"""


@dataclass(frozen=True)
class Facts:
    """What the card reports; `parameters` is a count, `seconds` the wall time of training."""

    seed: int
    parameters: int
    seconds: float
    cores: int
    schedule: Schedule
    shape: Architecture
    sampling_seeds: tuple[int, ...]


@dataclass(frozen=True)
class Scores:
    """The measured scores, one row of the card's table each."""

    heldout_greedy: Score
    heldout_sampled: Score
    later_turn_greedy: Score
    train_greedy: Score


def model_card(facts: Facts, scores: Scores, questions: Questions, missed: Sequence[Outcome]) -> str:
    """The text of `README.md`; `missed` are the held-out questions answered wrongly by greedy decoding."""
    blocks = (
        *_about(facts, questions),
        *_training(facts),
        *_evaluation(facts, scores, questions),
        *_missed(missed),
    )
    return FRONT_MATTER + "\n" + "\n\n".join(blocks) + "\n"


def _about(facts: Facts, questions: Questions) -> tuple[str, ...]:
    shape = facts.shape
    return (
        "# demo",
        _paragraph(
            "A tiny chat model that answers questions about mlxk. It is bundled with mlxk, so that the",
            "tool can be tried at once, offline and with nothing to download:",
        ),
        '```sh\nmlxk run demo "What does mlxk clone do?"\n```',
        _paragraph(
            f"It knows {len(questions.topics)} topics and nothing else; asked about anything else it should",
            "say so, but it can be wrong. Use it for trying out mlxk, not for anything more. Its answers",
            "were written by hand; what the network does is to recognize which of them a question asks",
            "for, however phrased.",
        ),
        "## Architecture",
        _paragraph(
            f"A llama with {facts.parameters:,} parameters in float16: {shape.num_hidden_layers} layers,",
            f"width {shape.hidden_size}, {shape.num_attention_heads} heads ({shape.num_key_value_heads} for",
            f"keys and values) of {shape.head_dim}, tied embeddings, a byte-level BPE vocabulary of",
            f"{shape.vocab_size} tokens, a ChatML template and a context of {shape.max_position_embeddings}",
            "tokens. Every matrix can be quantized in groups of 32 or 64.",
        ),
    )


def _training(facts: Facts) -> tuple[str, ...]:
    plan = facts.schedule
    return (
        "## Training",
        _paragraph(
            "Trained from scratch by `python -m tools.train_demo` on question and answer pairs drawn from",
            "the phrasing templates in `tools/demo_model/questions.yaml`, varied in case, punctuation,",
            "politeness and typing errors, some with a system message or earlier turns. No other data and",
            f"no other model was involved. Seed {facts.seed}, {plan.steps} steps of {plan.batch}",
            f"conversations, AdamW with a peak learning rate of {plan.peak_rate}, loss on the answer tokens",
            f"only, BPE dropout on the questions; {facts.seconds / 60:.1f} minutes on {facts.cores} CPU",
            f"cores (with a fast BLAS, see the script). The logits were then sharpened by {SHARPNESS}, so",
            "that sampling strays less from the answer.",
        ),
    )


def _evaluation(facts: Facts, scores: Scores, questions: Questions) -> tuple[str, ...]:
    heldout = sum(len(topic.heldout) for topic in questions.topics)
    rows = (
        "| questions | decoding | answers | right topic | exact |",
        "|---|---|---:|---:|---:|",
        _row("held-out", "greedy", scores.heldout_greedy),
        _row("held-out", "sampled", scores.heldout_sampled),
        _row("held-out, after a system message and an earlier turn", "greedy", scores.later_turn_greedy),
        _row("drawn like the training data", "greedy", scores.train_greedy),
    )
    return (
        "## Evaluation",
        _paragraph(
            f"Measured with mlx-lm on the files in this folder. The held-out set has {heldout} phrasings,",
            "which were written before the first training run and are never trained on (the training",
            "script rejects them). An answer has the right topic if it resembles the canonical answer of",
            "that topic more than any other, and by at least 80 %; it is exact if it equals it character",
            f"for character. Sampled means mlxk's default: temperature {TEMPERATURE}, top-p {TOP_P},",
            f"repetition penalty {REPETITION_PENALTY}; {len(facts.sampling_seeds)} seeds.",
        ),
        "\n".join(rows),
    )


def _paragraph(*parts: str) -> str:
    return textwrap.fill(" ".join(parts), width=110, break_on_hyphens=False, break_long_words=False)


def _row(questions: str, decoding: str, score: Score) -> str:
    percents = f"{score.topic_percent:.1f} % | {score.exact_percent:.1f} %"
    return f"| {questions} | {decoding} | {score.total} | {percents} |"


def _missed(missed: Sequence[Outcome]) -> tuple[str, ...]:
    if not missed:
        return ()
    lines = (f'- "{outcome.case.messages[-1].content}": {outcome.topic or "no topic"}' for outcome in missed)
    return ("Held-out questions it gets wrong by greedy decoding, and what it answers on:", "\n".join(lines))
