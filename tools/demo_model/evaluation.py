"""Measures the saved folder through mlx_lm, the way mlxk itself runs it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm
from mlx_lm.sample_utils import make_logits_processors, make_sampler

from tools.demo_model.dataset import Message, Questions, Topic

TEMPERATURE = 0.7
TOP_P = 0.9
REPETITION_PENALTY = 1.1
MAX_TOKENS = 120
SAME_ANSWER = 0.8


@dataclass(frozen=True)
class Case:
    """One chat to complete (it ends with a user message) and the topic the answer must have."""

    topic: Topic
    messages: tuple[Message, ...]


@dataclass(frozen=True)
class Outcome:
    """What the model said to a case, and the topic this was taken for (None if nothing came near)."""

    case: Case
    text: str
    topic: str | None


@dataclass(frozen=True)
class Score:
    """Counts over all cases (and, when sampled, all seeds)."""

    total: int
    right_topic: int
    exact: int

    @property
    def topic_percent(self) -> float:
        """Percent of answers with the right topic."""
        return 100.0 * self.right_topic / self.total

    @property
    def exact_percent(self) -> float:
        """Percent of answers equal to the canonical answer, character for character."""
        return 100.0 * self.exact / self.total


def single_turn(topic: Topic, text: str) -> Case:
    """A chat of one question."""
    return Case(topic, (Message("user", text),))


def later_turn(topic: Topic, text: str, earlier: Topic) -> Case:
    """The question after a system message and an exchange on the command that `earlier` is about."""
    messages = (
        Message("system", "You are a friendly helper in a terminal."),
        Message("user", f"What does mlxk {earlier.command} do?"),
        Message("assistant", earlier.answer),
        Message("user", text),
    )
    return Case(topic, messages)


def heldout_cases(questions: Questions) -> list[Case]:
    """Every held-out phrasing as a single-turn chat."""
    return [single_turn(topic, text) for topic in questions.topics for text in topic.heldout]


def dev_cases(questions: Questions) -> list[Case]:
    """Every dev phrasing as a single-turn chat."""
    return [single_turn(topic, text) for topic in questions.topics for text in topic.dev]


def later_turn_cases(questions: Questions) -> list[Case]:
    """Every held-out phrasing as the second question of a chat; the first is on some command."""
    commands = [topic for topic in questions.topics if topic.command is not None]
    pairs = [(topic, text) for topic in questions.topics for text in topic.heldout]
    return [
        later_turn(topic, text, commands[(index * 7 + 3) % len(commands)])
        for index, (topic, text) in enumerate(pairs)
    ]


def nearest_topic(text: str, questions: Questions) -> str | None:
    """The topic whose answer `text` resembles most, if it resembles any at all."""
    ratios = {
        topic.name: difflib.SequenceMatcher(None, text, topic.answer, autojunk=False).ratio()
        for topic in questions.topics
    }
    best = max(ratios, key=lambda name: ratios[name])
    return best if ratios[best] >= SAME_ANSWER else None


class Evaluator:
    """Runs cases through the model in `folder`."""

    def __init__(self, folder: Path, questions: Questions) -> None:
        loaded: tuple[Any, ...] = mlx_lm.load(str(folder))
        self._model, self._tokenizer = loaded[:2]
        self._questions = questions

    def greedy(self, cases: Iterable[Case]) -> list[Outcome]:
        """Complete each case with the most likely tokens."""
        return [self._outcome(case, temperature=0.0) for case in cases]

    def sampled(self, cases: Sequence[Case], seeds: Iterable[int]) -> list[Outcome]:
        """Complete each case once per seed with mlxk's default sampling."""
        outcomes: list[Outcome] = []
        for seed in seeds:
            mx.random.seed(seed)
            outcomes += [self._outcome(case, temperature=TEMPERATURE) for case in cases]
        return outcomes

    def _outcome(self, case: Case, temperature: float) -> Outcome:
        text = self.complete(case.messages, temperature)
        return Outcome(case, text, nearest_topic(text, self._questions))

    def complete(self, messages: Sequence[Message], temperature: float) -> str:
        """The model's next message; temperature 0 decodes greedily and without penalty."""
        chat = [{"role": message.role, "content": message.content} for message in messages]
        prompt = self._tokenizer.apply_chat_template(chat, add_generation_prompt=True)
        penalty = REPETITION_PENALTY if temperature > 0 else None
        sampler = make_sampler(temp=temperature, top_p=TOP_P)
        processors = make_logits_processors(repetition_penalty=penalty)
        pieces = mlx_lm.stream_generate(
            self._model,
            self._tokenizer,
            prompt,
            max_tokens=MAX_TOKENS,
            sampler=sampler,
            logits_processors=processors,
        )
        return "".join(piece.text for piece in pieces)


def score(outcomes: Sequence[Outcome]) -> Score:
    """Count right topics and exact answers."""
    right = sum(outcome.topic == outcome.case.topic.name for outcome in outcomes)
    exact = sum(outcome.text == outcome.case.topic.answer for outcome in outcomes)
    return Score(len(outcomes), right, exact)


def misses(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """The outcomes with a wrong topic."""
    return [outcome for outcome in outcomes if outcome.topic != outcome.case.topic.name]
