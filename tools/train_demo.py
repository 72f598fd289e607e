"""Train `demo`, the tiny chat model bundled with mlxk, measure it, and write its folder.

    python -m tools.train_demo [--seed 7] [--steps 3000] [--out src/adapters/bundled/demo]

Needs mlx, mlx-lm, tokenizers and PyYAML. On Linux, mlx's CPU wheel multiplies matrices with a slow reference
BLAS; with Debian's libopenblas0 preloaded training takes minutes instead of hours:

    LD_PRELOAD=libopenblas.so.0 python -m tools.train_demo
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_flatten

from tools.demo_model.card import Facts, Scores, model_card
from tools.demo_model.chat_tokenizer import (
    END,
    PAD,
    ConversationEncoder,
    save_tokenizer,
    token_id,
    train_tokenizer,
)
from tools.demo_model.dataset import ConversationSampler, Questions, load_questions, sample_texts
from tools.demo_model.evaluation import (
    Evaluator,
    Outcome,
    dev_cases,
    heldout_cases,
    later_turn_cases,
    misses,
    score,
    single_turn,
)
from tools.demo_model.trainer import (
    Architecture,
    Schedule,
    batches,
    build_model,
    model_config,
    save_model,
    train,
)

TOOLS = Path(__file__).resolve().parent
QUESTIONS = TOOLS / "demo_model" / "questions.yaml"
OUT = TOOLS.parent / "src" / "adapters" / "bundled" / "demo"
TOKENIZER_TEXTS = 40_000
BPE_DROPOUT = 0.02
SAMPLING_SEEDS = (1, 2, 3)
TRAIN_CASES_PER_TOPIC = 5


@dataclass(frozen=True)
class Options:
    """The command line: `steps` in optimizer steps, `batch` in conversations per step."""

    seed: int
    steps: int
    batch: int
    rate: float
    out: Path
    dev_only: bool


def parse_options() -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Train the bundled demo model of mlxk.")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=2e-3, help="peak learning rate")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--dev-only", action="store_true", help="measure on dev phrasings only, no card")
    return Options(**vars(parser.parse_args()))


def main() -> None:
    """Train, save, measure, write the card."""
    options = parse_options()
    options.out.mkdir(parents=True, exist_ok=True)
    questions = load_questions(QUESTIONS)
    shape = Architecture()
    schedule = Schedule(steps=options.steps, batch=options.batch, peak_rate=options.rate)
    parameters, seconds = train_and_save(questions, shape, schedule, options)
    evaluator = Evaluator(options.out, questions)
    report("dev, greedy", dev := evaluator.greedy(dev_cases(questions)))
    print_misses(dev)
    if options.dev_only:
        return
    facts = Facts(options.seed, parameters, seconds, os.cpu_count() or 1, schedule, shape, SAMPLING_SEEDS)
    write_card(evaluator, questions, facts, options.out)


def train_and_save(
    questions: Questions, shape: Architecture, schedule: Schedule, options: Options
) -> tuple[int, float]:
    """Write tokenizer, weights and configurations; returns parameter count and training time in seconds."""
    mx.set_default_device(mx.Device(mx.cpu))
    mx.random.seed(options.seed)
    tokenizer = train_tokenizer(sample_texts(questions, TOKENIZER_TEXTS, options.seed), shape.vocab_size)
    save_tokenizer(tokenizer, options.out, shape.max_position_embeddings)
    pad, eos = token_id(tokenizer, PAD), token_id(tokenizer, END)
    config = model_config(shape, eos, pad)
    model = build_model(config)
    sampler = ConversationSampler(questions, options.seed)
    encoder = ConversationEncoder(tokenizer, BPE_DROPOUT)
    seconds = train(model, batches(sampler, encoder, schedule.batch, pad), schedule)
    assert not sampler.drawn & questions.untrained(), "a dev or held-out phrasing was trained on"
    print(f"{len(sampler.drawn)} distinct questions; {sampler.rejected} dev or held-out phrasings rejected")
    save_model(model, config, options.out)
    return sum(array.size for _, array in tree_flatten(model.parameters())), seconds


def write_card(evaluator: Evaluator, questions: Questions, facts: Facts, out: Path) -> None:
    """Measure the saved folder on all sets and write `README.md`."""
    sampler = ConversationSampler(questions, facts.seed + 1)
    trained = [
        single_turn(topic, sampler.question(topic))
        for topic in questions.topics
        for _ in range(TRAIN_CASES_PER_TOPIC)
    ]
    report("held-out, greedy", greedy := evaluator.greedy(heldout_cases(questions)))
    report("held-out, sampled", sampled := evaluator.sampled(heldout_cases(questions), facts.sampling_seeds))
    report("held-out, later turn", later := evaluator.greedy(later_turn_cases(questions)))
    report("training-like, greedy", like := evaluator.greedy(trained))
    scores = Scores(score(greedy), score(sampled), score(later), score(like))
    (out / "README.md").write_text(model_card(facts, scores, questions, misses(greedy)), encoding="utf-8")
    print_misses(greedy)


def report(name: str, outcomes: list[Outcome]) -> None:
    """Print one line of scores."""
    result = score(outcomes)
    percents = f"topic {result.topic_percent:.1f} %, exact {result.exact_percent:.1f} %"
    print(f"{name}: {percents} of {result.total}", flush=True)


def print_misses(outcomes: list[Outcome]) -> None:
    """Print what went wrong."""
    for outcome in misses(outcomes):
        asked = outcome.case.messages[-1].content
        print(f"  {outcome.case.topic.name}: {asked!r} -> {outcome.topic}: {outcome.text!r}")


if __name__ == "__main__":
    main()
