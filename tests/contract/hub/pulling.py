"""A download in a process of its own, to be killed, interrupted or raced.

`python -m tests.contract.hub.pulling URL CACHE MODEL [ours|library]` prints one JSON line when it is done.
"""

import json
import sys
from pathlib import Path

from tests.contract.hub.recorder import Recorder


def main() -> None:
    """Download a model's `main`."""
    url, cache, model, who = sys.argv[1:5]
    if who == "library":
        from huggingface_hub import snapshot_download

        snapshot_download(model, endpoint=url, cache_dir=cache, max_workers=2)
        return
    from mlxk.adapters.hub.blob_download import BlobSource
    from mlxk.adapters.hub.client import HuggingFaceHub
    from mlxk.adapters.hub.fetcher import HubCacheFetcher
    from mlxk.domain.naming import RepoId

    fetcher = HubCacheFetcher(Path(cache), BlobSource(endpoint=url))
    info = HuggingFaceHub(endpoint=url).describe(RepoId(model), "main")
    try:
        result = fetcher.fetch(info, fetcher.missing(info).files, Recorder())
    except KeyboardInterrupt:
        sys.exit(130)
    line = {"complete": result.complete, "bytes": result.bytes_downloaded, "resumed": result.bytes_resumed}
    sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
