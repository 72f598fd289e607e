"""Decode speed of the text engine against plain `mlx_lm.stream_generate`, one sequence, same model.

Run `python -m tools.bench.engine`. Runs are taken in turn, so that a busy machine slows both alike, and
the ratio is the median of the pairs' ratios; the target is at least 0.95. Take many short runs
where other work goes on.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mlxk.adapters.runtimes.text import MlxTextRuntime
from mlxk.domain.generation import Finish, GenerationRequest, Prompt, Sampling
from tests.contract.tiny_models import build_llama

PROMPT = "one two three four five six seven eight nine ten"
GREEDY = Sampling(temperature=0, top_p=1, repetition_penalty=1)
USUAL = Sampling(seed=1)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Tokens per second of each run, in the order they were taken."""

    engine: list[float]
    plain: list[float]

    @property
    def ratio(self) -> float:
        """Speed of the engine in units of plain mlx-lm's, the median over neighbouring runs."""
        return statistics.median(
            engine / plain for engine, plain in zip(self.engine, self.plain, strict=True)
        )


def compare(path: Path, sampling: Sampling, *, tokens: int, runs: int) -> Comparison:
    """Measure both ways of decoding `tokens` tokens with the model in `path`, `runs` times in turn."""
    engine, plain = _engine_run(path, sampling, tokens), _plain_run(path, sampling, tokens)
    engine(), plain()
    pairs = [(engine(), plain()) for _ in range(runs)]
    return Comparison([pair[0] for pair in pairs], [pair[1] for pair in pairs])


def _engine_run(path: Path, sampling: Sampling, tokens: int) -> Callable[[], float]:
    model = MlxTextRuntime(prompt_cache_bytes=0).load(path)
    request = GenerationRequest(Prompt(PROMPT), sampling=sampling, max_tokens=tokens)

    def run() -> float:
        start = time.perf_counter()
        generated = sum(
            delta.usage.completion_tokens for delta in model.generate(request) if isinstance(delta, Finish)
        )
        return generated / (time.perf_counter() - start)

    return run


def _plain_run(path: Path, sampling: Sampling, tokens: int) -> Callable[[], float]:
    from mlx_lm import load, stream_generate
    from mlx_lm.sample_utils import make_logits_processors, make_sampler

    model, tokenizer = load(str(path))
    sampler = make_sampler(sampling.temperature, top_p=sampling.top_p)
    penalty = sampling.repetition_penalty
    processors = make_logits_processors(repetition_penalty=penalty) if penalty != 1 else None

    def run() -> float:
        start = time.perf_counter()
        for last in stream_generate(
            model, tokenizer, PROMPT, tokens, sampler=sampler, logits_processors=processors
        ):
            generated: int = last.generation_tokens
        return generated / (time.perf_counter() - start)

    return run


def main() -> None:
    """Build a tiny and a small model, compare, print the best speeds and the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, default=50, help="tokens per run (default: 50)")
    parser.add_argument("--runs", type=int, default=21, help="runs of each (default: 21)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        shapes = {
            "tiny, 64 x 2": build_llama(Path(folder) / "tiny"),
            "small, 512 x 8": build_llama(
                Path(folder) / "small", hidden_size=512, num_hidden_layers=8, intermediate_size=1536
            ),
        }
        print(f"{'model':16} {'sampling':8} {'engine':>9} {'mlx-lm':>9} {'ratio':>6}")
        for name, path in shapes.items():
            for kind, sampling in (("greedy", GREEDY), ("usual", USUAL)):
                seen = compare(path, sampling, tokens=arguments.tokens, runs=arguments.runs)
                best = f"{max(seen.engine):7.1f}/s {max(seen.plain):7.1f}/s"
                print(f"{name:16} {kind:8} {best} {seen.ratio:6.3f}", flush=True)


if __name__ == "__main__":
    main()
