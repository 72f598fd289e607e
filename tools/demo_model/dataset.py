"""Reads `questions.yaml` and draws an endless, seeded stream of training conversations from it."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

SYSTEM_MESSAGES = (
    "You are a helpful assistant.",
    "You are a helpful assistant",
    "You are demo, a tiny model that knows mlxk.",
    "Answer briefly.",
    "Be concise and friendly.",
    "You are an assistant for the command line.",
    "Answer in one sentence.",
    "You answer questions about mlxk.",
    "You are a polite and precise AI assistant. Answer the question of the user.",
    "Help the user as well as you can.",
    "You are a pirate.",
    "You are an expert for machine learning models.",
    "Reply in English.",
    "Do not make things up.",
    "Think step by step, then answer.",
)
PREFIXES = (
    "hey, ", "hi, ", "hello, ", "hello! ", "hi there, ", "please, ", "please tell me: ", "tell me, ",
    "ok, ", "ok so ", "so, ", "so ", "um, ", "well, ", "quick question: ", "question: ", "a question: ",
    "excuse me, ", "sorry, ", "and ", "also, ", "i am new to mlxk. ", "just curious, ", "say, ",
    "once more: ", "one more question: ", "thanks. ", "another question: ", "now, ", "dear demo, ",
    "can you help me? ", "maybe you know: ", "i have a question. ", "in mlxk, ", "with mlxk, ", "mlxk: ",
)  # fmt: skip
SUFFIXES = (
    " please", ", please", " with mlxk", " in mlxk", " using mlxk", " thanks", ", thanks", " now",
    " exactly", " then", " again", " for me", " here", " really", " on my machine", " with this tool",
    " (mlxk)", " in one sentence",
)  # fmt: skip
ENDINGS = ("?", "?", "?", "?", "?", "", "", "", "", ".", "!", "??", " ?", "...")
PLAIN_ENDINGS = ("", "", "", "!", "!", ".", "?")
ACRONYMS = re.compile(
    r"\b(api|rest|http|json|gpu|cpu|ai|ci|llm|url|mlx|id|sha256|ram|cuda|usa|dna|sql|html)\b"
)
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Topic:
    """One thing the model knows: its answer, and how people ask for it."""

    name: str
    answer: str
    train: tuple[str, ...]
    dev: tuple[str, ...]
    heldout: tuple[str, ...]
    command: str | None
    plain: bool
    weight: float


@dataclass(frozen=True)
class Questions:
    """The whole data file."""

    topics: tuple[Topic, ...]
    command_forms: tuple[str, ...]
    command_phrasings: tuple[str, ...]
    slots: Mapping[str, tuple[str, ...]]

    def untrained(self) -> frozenset[str]:
        """Normalized dev and held-out phrasings, which no training question may equal."""
        return frozenset(normalize(text) for topic in self.topics for text in (*topic.dev, *topic.heldout))


@dataclass(frozen=True)
class Message:
    """One message of a chat; `role` is system, user or assistant."""

    role: str
    content: str


def load_questions(path: Path) -> Questions:
    """Parse the data file at `path`."""
    raw: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    topics = tuple(_topic(name, entry) for name, entry in raw["topics"].items())
    slots = {name: tuple(values) for name, values in raw["slots"].items()}
    return Questions(topics, tuple(raw["command_forms"]), tuple(raw["command_phrasings"]), slots)


def _topic(name: str, entry: Mapping[str, Any]) -> Topic:
    return Topic(
        name=name,
        answer=entry["answer"],
        train=tuple(entry["train"]),
        dev=tuple(entry["dev"]),
        heldout=tuple(entry["heldout"]),
        command=entry.get("command"),
        plain=bool(entry.get("plain", False)),
        weight=float(entry.get("weight", 1.0)),
    )


def normalize(text: str) -> str:
    """Lower case, letters and digits only, contractions written out: equal results mean the same phrasing."""
    text = text.lower().replace("'s", " is").replace("whats ", "what is ")
    return " ".join(re.sub(r"[^a-z0-9]+", " ", text).split())


class ConversationSampler:
    """Draws training conversations; two samplers with the same seed draw the same ones.

    `drawn` collects the normalized questions drawn so far; `rejected` counts those thrown away for being
    equal to a dev or held-out phrasing.
    """

    def __init__(self, questions: Questions, seed: int) -> None:
        self._questions = questions
        self._random = random.Random(seed)
        self._weights = [topic.weight for topic in questions.topics]
        self._forbidden = questions.untrained()
        self.rejected = 0
        self.drawn: set[str] = set()

    def conversation(self) -> list[Message]:
        """One chat: sometimes a system message, one to three questions, each with its answer."""
        rng = self._random
        messages: list[Message] = []
        if rng.random() < 0.15:
            messages.append(Message("system", rng.choice(SYSTEM_MESSAGES)))
        for _ in range(rng.choices((1, 2, 3), weights=(78, 16, 6))[0]):
            topic = rng.choices(self._questions.topics, weights=self._weights)[0]
            messages.append(Message("user", self.question(topic)))
            messages.append(Message("assistant", topic.answer))
        return messages

    def question(self, topic: Topic) -> str:
        """One training question on `topic`, never a dev or held-out phrasing (neither bare nor decorated)."""
        while True:
            core = self._core(topic)
            text = self._decorate(core, plain=topic.plain)
            phrasings = {normalize(core), normalize(text)}
            if not phrasings & self._forbidden:
                self.drawn |= phrasings
                return text
            self.rejected += 1

    def _core(self, topic: Topic) -> str:
        """An undecorated phrasing, all alternatives chosen."""
        rng = self._random
        if topic.command is None or rng.random() > 0.45:
            return self._expand(rng.choice(topic.train))
        form = rng.choice(self._questions.command_forms).replace("{n}", topic.command)
        return self._expand(rng.choice(self._questions.command_phrasings).replace("{C}", form))

    def _expand(self, template: str) -> str:
        """Choose among `(a|b)` groups, innermost first, then fill `{slots}`."""
        rng = self._random
        group = re.compile(r"\(([^()]*\|[^()]*)\)")
        while match := group.search(template):
            template = template[: match.start()] + rng.choice(match[1].split("|")) + template[match.end() :]
        template = re.sub(r"\{(\w+)\}", lambda slot: rng.choice(self._questions.slots[slot[1]]), template)
        return " ".join(template.split())

    def _decorate(self, text: str, *, plain: bool) -> str:
        """Vary contractions, politeness, typing, punctuation and case; `plain` texts get no prefixes."""
        rng = self._random
        if rng.random() < 0.35:
            text = re.sub(r"^(what|who|where|how) is ", r"\1's ", text)
        if rng.random() < 0.35:
            text = text.replace("'s ", "s ").replace("n't", "nt").replace("i'm", "im").replace("i'd", "id")
        if not plain and rng.random() < 0.25:
            text = rng.choice(PREFIXES) + text
        if not plain and rng.random() < 0.12:
            text += rng.choice(SUFFIXES)
        if rng.random() < 0.12:
            text = self._drop_word(text)
        if rng.random() < 0.15:
            text = self._typo(text)
        text += rng.choice(PLAIN_ENDINGS if plain else ENDINGS)
        return self._case(text)

    def _case(self, text: str) -> str:
        """Mostly lower case or sentence case, seldom TITLE or UPPER case."""
        draw = self._random.random()
        if draw < 0.45:
            return text if draw < 0.35 else ACRONYMS.sub(lambda word: word[0].upper(), text)
        if draw < 0.96:
            text = ACRONYMS.sub(lambda word: word[0].upper(), text[:1].upper() + text[1:])
            return re.sub(r"\bi\b", "I", text)
        return text.upper() if draw < 0.98 else text.title()

    def _drop_word(self, text: str) -> str:
        """Leave out one word of at least five."""
        words = text.split()
        if len(words) >= 5:
            del words[self._random.randrange(len(words))]
        return " ".join(words)

    def _typo(self, text: str) -> str:
        """Swap, drop, double or replace one letter of one word with at least four letters."""
        rng = self._random
        words = [match.span() for match in re.finditer(r"[a-z]{4,}", text)]
        if not words:
            return text
        start, end = rng.choice(words)
        at = rng.randrange(start, end - 1)
        edits = (
            text[:at] + text[at + 1] + text[at] + text[at + 2 :],
            text[:at] + text[at + 1 :],
            text[:at] + text[at] + text[at:],
            text[:at] + rng.choice(LETTERS) + text[at + 1 :],
        )
        return rng.choice(edits)


def sample_texts(questions: Questions, count: int, seed: int) -> Sequence[str]:
    """`count` message texts (questions and answers) to train the tokenizer on."""
    sampler = ConversationSampler(questions, seed)
    texts: list[str] = []
    while len(texts) < count:
        texts.extend(message.content for message in sampler.conversation())
    return texts[:count]
