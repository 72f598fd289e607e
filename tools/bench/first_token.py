"""Where the time to the first token of `mlxk run demo` goes.

    python -m tools.bench.first_token [--runs 7]

Each run is a fresh process that does what `mlxk run` does, step by step. Printed are medians, and each step's
share: most of it is importing mlx-lm (which imports transformers).
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Mapping

__all__ = ["main"]

STEPS = """
import json, os, sys, time
started = time.perf_counter()
laps = {}
def lap(name):
    global started
    now = time.perf_counter()
    laps[name] = now - started
    started = now
from pathlib import Path
from mlxk.app.container import container_for
from mlxk.app.run import RunRequest, as_generation_request
container = container_for(os.environ)
record = container.catalog().find("demo")
container.inspector()(record)
lap("mlxk: imports, find, inspect")
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
import mlx_lm
lap("import mlx_lm")
model = container.text_runtime().load(Path(record.path))
lap("load the model")
request = as_generation_request(RunRequest("demo", "What is mlxk?", max_tokens=8))
stream = model.generate(request)
next(stream)
lap("first token")
stream.close()
print(json.dumps(laps))
"""


def main() -> None:
    """Measure and print the split."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=7, help="fresh processes (default: 7)")
    options = parser.parse_args()
    _one_run()  # the first run fills the file system's cache and compiles kernels
    runs = [_one_run() for _ in range(options.runs)]
    medians = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    total = sum(medians.values())
    print("time to the first token of `mlxk run demo`, without the start of Python itself")
    for name, seconds in medians.items():
        print(f"  {name:30} {seconds * 1e3:6.0f} ms  {seconds / total:4.0%}")
    print(f"  {'together':30} {total * 1e3:6.0f} ms")


def _one_run() -> Mapping[str, float]:
    done = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, text=True, check=True)
    laps: Mapping[str, float] = json.loads(done.stdout)
    return laps


if __name__ == "__main__":
    main()
