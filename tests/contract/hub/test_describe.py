"""Asking what a model holds: the answer, and every way in which there is none."""

import socket
import time
from pathlib import Path

import pytest

from mlxk.adapters.hub.client import HuggingFaceHub
from mlxk.domain.errors import ErrorKind, InvalidInput, MlxkError, ModelNotFound
from mlxk.domain.hub import RepoInfo
from mlxk.domain.naming import RepoId
from mlxk.domain.verification import DigestKind
from tests.contract.hub.conftest import IMPATIENT
from tests.contract.hub_server import Access, Content, Fault, HubServer, Trouble

MODEL = RepoId("org/model")
TOKEN = "hf_anna_token"
CONFIG = b'{"model_type": "qwen3"}'
WEIGHTS = b"w" * 1000

PROMPTLY = 8
"""Seconds that tell an answer of ours from the client's own time limit (10), even on a busy machine."""


@pytest.fixture(autouse=True)
def _models(server: HubServer) -> None:
    files = {"config.json": CONFIG, "model.safetensors": WEIGHTS, "sub/deep/merges.txt": b"a b"}
    server.repositories.users |= {TOKEN: "anna", "hf_bert_token": "bert"}
    readers = frozenset({"anna"})
    server.repositories.add("org/model", files)
    server.repositories.add("org/private", files, Access.PRIVATE, readers)
    server.repositories.add("org/gated", files, Access.GATED, readers)
    server.repositories.add("org/disabled", files, Access.DISABLED)


def _as(server: HubServer, token: str) -> HuggingFaceHub:
    return HuggingFaceHub(endpoint=server.url, token=token, timeout=2, retries=IMPATIENT)


def _failure(hub: HuggingFaceHub, name: str, revision: str = "main") -> MlxkError:
    with pytest.raises(MlxkError) as caught:
        hub.describe(RepoId(name), revision)
    return caught.value


def _api(server: HubServer) -> list[str]:
    return [request.path for request in server.traffic.all()]


def test_files_come_with_sizes_and_digests(server: HubServer, hub: HuggingFaceHub) -> None:
    repository = server.repositories.models["org/model"]
    info = hub.describe(MODEL, "main")
    assert info.commit == repository.refs["main"]
    assert (info.private, info.gated) == (False, False)
    files = {file.path: file for file in info.files}
    assert {path: file.size for path, file in files.items()} == {
        "config.json": len(CONFIG),
        "model.safetensors": len(WEIGHTS),
        "sub/deep/merges.txt": 3,
    }
    content = repository.commits[info.commit]["model.safetensors"]
    assert files["model.safetensors"].digest.kind is DigestKind.SHA256
    assert files["model.safetensors"].digest.value == content.sha256
    assert files["model.safetensors"].git_oid == content.oid
    assert files["config.json"].digest.kind is DigestKind.GIT_BLOB_SHA1
    assert info.size == len(CONFIG) + len(WEIGHTS) + 3


def test_a_long_tree_is_read_page_by_page(server: HubServer, hub: HuggingFaceHub) -> None:
    server.state.page_size = 2
    assert len(hub.describe(MODEL, "main").files) == 3
    assert sum("/tree/" in path for path in _api(server)) > 1


def test_branches_and_commits(server: HubServer, hub: HuggingFaceHub) -> None:
    repository = server.repositories.models["org/model"]
    first = repository.refs["main"]
    second = repository.commit({"config.json": Content(b"{}")}, branch="refs/pr/1")
    assert hub.describe(MODEL, "refs/pr/1").commit == second
    assert hub.describe(MODEL, second).files[0].size == 2
    assert hub.describe(MODEL, first).commit == first


def test_an_unknown_revision(hub: HuggingFaceHub) -> None:
    failure = _failure(hub, "org/model", "nightly")
    assert isinstance(failure, ModelNotFound)
    assert "'nightly'" in failure.message


@pytest.mark.parametrize("revision", ["../../x", "/etc", "a\0b", "", "x//y"])
def test_a_revision_that_would_leave_the_refs(server: HubServer, hub: HuggingFaceHub, revision: str) -> None:
    assert isinstance(_failure(hub, "org/model", revision), InvalidInput)
    assert not server.traffic.all()


def test_not_found_with_a_token(server: HubServer) -> None:
    failure = _failure(_as(server, TOKEN), "org/typo")
    assert failure.kind is ErrorKind.REPO_NOT_FOUND
    assert failure.hint is not None
    assert "spelling" in failure.hint


@pytest.mark.parametrize("name", ["org/typo", "org/private"])
def test_hidden_and_missing_look_alike_without_a_token(hub: HuggingFaceHub, name: str) -> None:
    failure = _failure(hub, name)
    assert failure.kind is ErrorKind.ACCESS_DENIED
    assert failure.hint is not None
    assert "hf auth login" in failure.hint


def test_private(server: HubServer) -> None:
    assert _as(server, TOKEN).describe(RepoId("org/private"), "main").private
    assert _failure(_as(server, "hf_bert_token"), "org/private").kind is ErrorKind.REPO_NOT_FOUND


def test_gated_may_be_looked_at_but_not_taken(server: HubServer, hub: HuggingFaceHub) -> None:
    assert hub.describe(RepoId("org/gated"), "main").gated
    with pytest.raises(MlxkError) as caught:
        hub.check_access(RepoId("org/gated"))
    assert caught.value.kind is ErrorKind.ACCESS_DENIED
    assert caught.value.hint is not None
    assert "org/gated" in caught.value.hint
    assert "hf auth login" in caught.value.hint
    _as(server, TOKEN).check_access(RepoId("org/gated"))
    with pytest.raises(MlxkError) as caught:
        _as(server, "hf_bert_token").check_access(RepoId("org/gated"))
    assert "hf auth login" not in (caught.value.hint or "")


def test_disabled(hub: HuggingFaceHub) -> None:
    assert _failure(hub, "org/disabled").kind is ErrorKind.ACCESS_DENIED


@pytest.mark.parametrize("token", ["hf_unknown", "hf_\u00fcml\u00e4ut", "hf_a\nb"])
def test_a_token_that_is_none(server: HubServer, token: str) -> None:
    failure = _failure(_as(server, token), "org/model")
    assert failure.kind is ErrorKind.AUTH
    assert token not in failure.message + (failure.hint or "")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_one_bad_moment_is_waited_out(server: HubServer, hub: HuggingFaceHub, status: int) -> None:
    server.faults.add(Fault("/revision/main", Trouble.STATUS, status))
    assert hub.describe(MODEL, "main").files


def test_an_odd_error_in_the_tree_is_waited_out(server: HubServer, hub: HuggingFaceHub) -> None:
    commit = server.repositories.models["org/model"].refs["main"]
    server.faults.add(Fault(f"/tree/{commit}", Trouble.ODD_STATUS, 503))
    assert hub.describe(MODEL, "main").files


def test_a_hub_that_stays_out_of_order(server: HubServer, hub: HuggingFaceHub) -> None:
    server.faults.add(Fault("/revision/main", Trouble.STATUS, 503, times=50))
    failure = _failure(hub, "org/model")
    assert failure.kind is ErrorKind.NETWORK
    assert failure.kind.retryable
    assert "503" in failure.message
    assert len(server.traffic.all()) == IMPATIENT.attempts


def test_retry_after_is_obeyed(server: HubServer, hub: HuggingFaceHub) -> None:
    server.faults.add(Fault("/revision/main", Trouble.STATUS, 429, retry_after="1"))
    begin = time.monotonic()
    hub.describe(MODEL, "main")
    assert time.monotonic() - begin >= 1


def test_a_long_retry_after_is_told_instead(server: HubServer, hub: HuggingFaceHub) -> None:
    server.faults.add(Fault("/revision/main", Trouble.STATUS, 429, retry_after="3600"))
    failure = _failure(hub, "org/model")
    assert "3600 seconds" in (failure.hint or "")


def test_a_silent_hub_is_given_up_at_once(server: HubServer) -> None:
    server.faults.add(Fault("/revision/main", Trouble.SILENT, times=9))
    begin = time.monotonic()
    failure = _failure(HuggingFaceHub(endpoint=server.url, timeout=0.3), "org/model")
    assert failure.kind is ErrorKind.NETWORK
    assert "in time" in failure.message
    assert time.monotonic() - begin < PROMPTLY


def test_a_silent_tree_too(server: HubServer) -> None:
    commit = server.repositories.models["org/model"].refs["main"]
    server.faults.add(Fault(f"/tree/{commit}", Trouble.SILENT, times=9))
    failure = _failure(HuggingFaceHub(endpoint=server.url, timeout=0.3), "org/model")
    assert failure.kind is ErrorKind.NETWORK


def test_a_reset_is_survived(server: HubServer, hub: HuggingFaceHub) -> None:
    server.faults.add(Fault("/revision/main", Trouble.RESET))
    assert hub.describe(MODEL, "main").files


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    failure = _failure(HuggingFaceHub(endpoint=f"http://127.0.0.1:{port}", timeout=2), "org/model")
    assert failure.kind is ErrorKind.NETWORK
    assert "127.0.0.1" in failure.message


@pytest.mark.parametrize("path", ["/revision/main", "tree"])
def test_a_login_page_instead_of_an_answer(server: HubServer, hub: HuggingFaceHub, path: str) -> None:
    commit = server.repositories.models["org/model"].refs["main"]
    server.faults.add(Fault(f"/tree/{commit}" if path == "tree" else path, Trouble.NOT_JSON))
    failure = _failure(hub, "org/model")
    assert failure.kind is ErrorKind.NETWORK
    assert "HF_ENDPOINT" in (failure.hint or "")


def test_an_endpoint_that_is_no_url() -> None:
    assert _failure(HuggingFaceHub(endpoint="nonsense"), "org/model").kind is ErrorKind.NETWORK


def test_offline(monkeypatch: pytest.MonkeyPatch, server: HubServer, hub: HuggingFaceHub) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    failure = _failure(hub, "org/model")
    assert failure.kind is ErrorKind.NETWORK
    assert "HF_HUB_OFFLINE" in failure.message
    assert not server.traffic.all()


@pytest.mark.parametrize(
    "names",
    [
        ["../x"],
        ["a/../../x"],
        ["/etc/passwd"],
        ["a\0b"],
        ["a\\b"],
        ["C:x"],
        ["./x"],
        ["a//b"],
        ["x/"],
        ["config.json", "Config.json"],
        ["caf\u00e9", "cafe\u0301"],
        ["a", "a/b"],
        ["A", "a/b"],
        ["\x1b[31m"],
        ["x" * 300],
    ],
)
def test_hostile_names(server: HubServer, hub: HuggingFaceHub, names: list[str]) -> None:
    server.repositories.add("org/hostile", dict.fromkeys(names, b"x"))
    failure = _failure(hub, "org/hostile")
    assert failure.kind is ErrorKind.DOWNLOAD_FAILED
    assert "\x1b" not in failure.message
    assert "\0" not in failure.message


@pytest.mark.parametrize(
    "content",
    [
        Content(b"x", listed_digest="../../../../escape"),
        Content(b"x", lfs=True, listed_digest="../../../../escape"),
        Content(b"x", listed_size=-1),
        Content(b"x", listed_digest="AB" * 20),
    ],
)
def test_a_list_that_makes_no_sense(server: HubServer, hub: HuggingFaceHub, content: Content) -> None:
    server.repositories.add("org/hostile", {"x": content})
    assert _failure(hub, "org/hostile").kind is ErrorKind.DOWNLOAD_FAILED


def test_the_users_own_token_is_found(
    server: HubServer, hub: HuggingFaceHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    info: RepoInfo = hub.describe(RepoId("org/private"), "main")
    assert info.private


def test_the_hub_library_is_imported_late() -> None:
    import subprocess
    import sys

    code = (
        "import sys, mlxk.adapters.hub.client, mlxk.adapters.hub.fetcher, mlxk.domain.ports\n"
        "from pathlib import Path\n"
        "mlxk.adapters.hub.client.HuggingFaceHub(); mlxk.adapters.hub.fetcher.HubCacheFetcher(Path('/x'))\n"
        "assert 'huggingface_hub' not in sys.modules and 'httpx2' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
