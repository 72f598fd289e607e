"""`mlxk serve` against `mlx_lm.server`, same tiny model, same client, in turn.

    python -m tools.bench.serving [--runs 5] [--tokens 48] [--clients 1 4 8 32]

Both servers run at the same time and answer by turns, so that a busy machine slows both alike; an idle one
costs nothing. Ratios are medians over neighbouring runs. Tokens per second: ours over theirs, above 1 is
faster. Times: ours over theirs, below 1 is faster.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.contract.tiny_models import build_llama
from tools.bench.servers import RunningServer, mlx_lm_server, mlxk_server
from tools.bench.stream_client import Stream, ask, ask_all

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
CONTEXT = 4096
MEMORY_REQUESTS = 500


@dataclass(frozen=True, slots=True)
class Load:
    """What several clients at once saw: tokens a second in all, and times in seconds."""

    rate: float
    first_median: float
    first_p95: float
    gap_p95: float


def load_of(streams: Sequence[Stream]) -> Load:
    """The figures of streams that ran together."""
    wall = max(stream.ended for stream in streams) - min(stream.started for stream in streams)
    firsts = [stream.to_first for stream in streams]
    gaps = [gap for stream in streams for gap in stream.gaps]
    return Load(
        sum(stream.tokens for stream in streams) / wall,
        statistics.median(firsts),
        _p95(firsts),
        _p95(gaps),
    )


def _p95(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]


def _body(server: RunningServer, prompt: str, tokens: int) -> Mapping[str, Any]:
    message = {"role": "user", "content": prompt}
    return {"model": server.model, "messages": [message], "max_tokens": tokens, "temperature": 0}


def _prompts(clients: int, run: int) -> list[str]:
    """Prompts that share nothing after their first words, so that no cache answers for a server."""
    return [
        f"{clients} {run} {client} " + " ".join(WORDS[(client + i) % 10] for i in range(12))
        for client in range(clients)
    ]


def _measure(server: RunningServer, clients: int, run: int, tokens: int) -> Load:
    bodies = [_body(server, prompt, tokens) for prompt in _prompts(clients, run)]
    return load_of(asyncio.run(ask_all(server.port, bodies)))


def compare(ours: RunningServer, theirs: RunningServer, clients: int, *, runs: int, tokens: int) -> str:
    """One line of the table."""
    for server in (ours, theirs):
        _measure(server, clients, -1, 8)
    pairs = []
    for run in range(runs):
        pair = {server.name: _measure(server, clients, run, tokens) for server in _in_turn(run, ours, theirs)}
        pairs.append((pair[ours.name], pair[theirs.name]))

    def ratio(figure: Callable[[Load], float]) -> float:
        return statistics.median(figure(one) / figure(other) for one, other in pairs)

    rate = statistics.median(one.rate for one, _ in pairs)
    return (
        f"{clients:7}  {rate:7.0f}/s  {ratio(lambda load: load.rate):9.2f}"
        f"  {ratio(lambda load: load.first_median):12.2f}  {ratio(lambda load: load.first_p95):9.2f}"
        f"  {ratio(lambda load: load.gap_p95):8.2f}"
    )


def _in_turn(run: int, *servers: RunningServer) -> Sequence[RunningServer]:
    return servers if run % 2 == 0 else servers[::-1]


def ceiling(ours: RunningServer, model: Path, *, clients: int, runs: int, tokens: int) -> float:
    """Our tokens a second over those of `mlx_lm.batch_generate` in this process, the median of neighbours."""
    from mlx_lm import batch_generate, load

    loaded, tokenizer = load(str(model))

    def in_process(run: int) -> float:
        prompts = [
            tokenizer.apply_chat_template([{"role": "user", "content": prompt}], add_generation_prompt=True)
            for prompt in _prompts(clients, run)
        ]
        started = time.perf_counter()
        batch_generate(loaded, tokenizer, prompts, max_tokens=tokens)
        return clients * tokens / (time.perf_counter() - started)

    in_process(-1)
    ratios = [_measure(ours, clients, 1000 + run, tokens).rate / in_process(run) for run in range(runs)]
    return statistics.median(ratios)


def shared_prefix(server: RunningServer, *, runs: int) -> float:
    """Time to the first token of a new 1,000-token prompt over that of the next with the same beginning."""
    ratios = []
    for run in range(runs):
        # The tiny tokenizer knows numbers as several tokens: about 1,000 tokens in all.
        prefix = f"{run} " + " ".join(WORDS[(run + i) % 10] for i in range(PREFIX_WORDS))
        first = asyncio.run(ask(server.port, _body(server, f"{prefix} first", 2)))
        second = asyncio.run(ask(server.port, _body(server, f"{prefix} second", 2)))
        ratios.append(first.to_first / second.to_first)
    return statistics.median(ratios)


PREFIX_WORDS = 1000


def memory_growth(server: RunningServer, *, tokens: int) -> float:
    """RSS after 500 requests over that after the first 100."""
    early = 0
    for run in range(MEMORY_REQUESTS // 4):
        _measure(server, 4, 5000 + run, tokens)
        if run == MEMORY_REQUESTS // 20:
            early = server.rss
    return server.rss / early


def main() -> None:
    """Build a model, start the servers, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5, help="runs of each (default: 5)")
    parser.add_argument("--tokens", type=int, default=48, help="tokens per answer (default: 48)")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 8, 32], help="clients at once")
    parser.add_argument("--size", type=int, default=256, help="width of the model (default: 256)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = build_llama(
            Path(folder) / "model",
            hidden_size=options.size,
            num_hidden_layers=4,
            intermediate_size=3 * options.size,
            max_position_embeddings=CONTEXT,
        )
        with mlxk_server(model) as ours, mlx_lm_server(model) as theirs:
            print("clients      ours   tokens/s  first median  first p95  gap p95   (ours over theirs)")
            for clients in options.clients:
                print(compare(ours, theirs, clients, runs=options.runs, tokens=options.tokens), flush=True)
            for server in (ours, theirs):
                print(
                    f"{server.name}: shared prefix of 1,000 tokens, first over second: "
                    f"{shared_prefix(server, runs=options.runs):.1f}",
                    flush=True,
                )
                print(
                    f"{server.name}: memory after 500 requests over that after 100: "
                    f"{memory_growth(server, tokens=8):.3f}",
                    flush=True,
                )
            share = ceiling(ours, model, clients=8, runs=options.runs, tokens=options.tokens)
            print(f"8 clients over mlx_lm.batch_generate in process: {share:.2f}")
    _print_start()


def _print_start() -> None:
    """Time from the command to `/ready`, without a model, beside what importing the frameworks takes."""
    pairs = [(_seconds_of(_start_and_stop), _seconds_of(_import_frameworks)) for _ in range(5)]
    start = statistics.median(start for start, _ in pairs)
    share = statistics.median(frameworks / start for start, frameworks in pairs)
    print(f"start to /ready without a model: {start:.2f} s; FastAPI and uvicorn alone: {share:.0%}")


def _seconds_of(step: Callable[[], float]) -> float:
    started = time.perf_counter()
    return step() - started


def _start_and_stop() -> float:
    with mlxk_server(None):
        return time.perf_counter()


def _import_frameworks() -> float:
    subprocess.run([sys.executable, "-c", "import fastapi, uvicorn"], check=True)
    return time.perf_counter()


if __name__ == "__main__":
    main()
