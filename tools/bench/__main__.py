"""All measurements, one after the other: `python -m tools.bench`."""

import subprocess
import sys

MEASUREMENTS = ("listing", "first_token", "engine", "serving", "pull", "clone", "workspaces")


def main() -> int:
    """Run each measurement in a process of its own, so that none warms another's caches.

    Returns:
        0, or the exit code of the first that failed.
    """
    for name in MEASUREMENTS:
        print(f"\n== {name}", flush=True)
        done = subprocess.run([sys.executable, "-m", f"tools.bench.{name}"], check=False)
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
