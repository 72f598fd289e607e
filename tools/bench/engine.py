"""Decode speed of the text engine against plain `mlx_lm.stream_generate`, one sequence, same model.

Run `python -m tools.bench.engine`. Runs are taken in turn, so that a busy machine slows both alike, and
medians are compared; the target is a ratio of at least 0.95.
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
    """Tokens per second, medians over the runs."""

    name: str
    engine: float
    plain: float

    @property
    def ratio(self) -> float:
        """Speed of the engine in units of plain mlx-lm's."""
        return self.engine / self.plain


def compare(path: Path, name: str, sampling: Sampling, *, tokens: int, runs: int) -> Comparison:
    """Measure both ways of decoding `tokens` tokens with the model in `path`, `runs` times in turn."""
    ways = {"engine": _engine_run(path, sampling, tokens), "plain": _plain_run(path, sampling, tokens)}
    for run in ways.values():
        run()
    speeds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(runs):
        for way, run in ways.items():
            speeds[way].append(run())
    return Comparison(name, *(statistics.median(speeds[way]) for way in ("engine", "plain")))


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
    """Build a tiny and a small model, compare, print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, default=200, help="tokens per run (default: 200)")
    parser.add_argument("--runs", type=int, default=9, help="runs of each (default: 9)")
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
            for sampling in (GREEDY, USUAL):
                kind = "greedy" if sampling is GREEDY else "usual"
                seen = compare(path, name, sampling, tokens=arguments.tokens, runs=arguments.runs)
                print(
                    f"{name:16} {kind:8} {seen.engine:7.1f}/s {seen.plain:7.1f}/s {seen.ratio:6.3f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
