"""A Hub to measure against: `python -m tests.contract.hub_server FILES MEGABYTES` prints its URL and serves.

The model is `bench/model`, with so many LFS files of so many MB each and a few small ones.
"""

import os
import sys
import time

from tests.contract.hub_server.repositories import Repositories
from tests.contract.hub_server.running import serving
from tests.contract.hub_server.state import State


def main() -> None:
    """Serve until stdin closes."""
    count, megabytes = int(sys.argv[1]), int(sys.argv[2])
    files = {f"model-{number}.safetensors": os.urandom(megabytes * 1_000_000) for number in range(count)}
    files |= {f"small-{number}.json": b'{"n": %d}' % number for number in range(10)}
    repositories = Repositories()
    repositories.add("bench/model", files)
    with serving(State(repositories)) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        while sys.stdin.read(1):
            time.sleep(0)


if __name__ == "__main__":
    main()
