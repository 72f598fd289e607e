"""Which files of a workspace its manifest vouches for, byte by byte."""

from dataclasses import replace

import pytest

from mlxk.domain.findings import Code, Finding, Remedy
from mlxk.domain.health import HealthReport, is_incomplete
from mlxk.domain.manifest import (
    Baseline,
    Flaw,
    IndexedFile,
    Manifest,
    Operation,
    Origin,
    Refusal,
    pinned,
)
from mlxk.domain.model import FileFact, LinkState
from mlxk.domain.recorded_digests import recorded_digests, unrecorded
from mlxk.domain.verification import Digest, DigestKind
from mlxk.domain.workspace import MAX_CONTENT

TENSORS = "a" * 64
SHA = "b" * 64
INDEX = tuple(
    IndexedFile(path, size, 7, f"sha256:{SHA}")
    for path, size in [
        ("config.json", 5),
        ("huge.bin", MAX_CONTENT + 1),
        ("other.safetensors", 9),
        ("w.safetensors", 9),
    ]
)
MANIFEST = replace(
    Origin("org/name", None, Operation.CLONE, {"w.safetensors": TENSORS}).manifest("1", "now"),
    baseline=Baseline(INDEX),
)
FILES = [FileFact(file.path, file.size, file.mtime_ns) for file in INDEX]


def paths(manifest: Manifest, files: list[FileFact]) -> dict[str, str]:
    found = recorded_digests(manifest, files)
    assert all(digest.kind is DigestKind.SHA256 for _, digest in found)
    return {file.path: digest.value for file, digest in found}


def test_weights_by_their_tensor_digest_other_files_by_the_index() -> None:
    assert paths(MANIFEST, FILES) == {"config.json": SHA, "w.safetensors": TENSORS}


@pytest.mark.parametrize(
    "file",
    [
        FileFact("config.json", 6, 7),
        FileFact("config.json", 5, 8),
        FileFact("config.json", 5, 7, LinkState.INSIDE),
    ],
)
def test_what_was_edited_since_has_no_digest(file: FileFact) -> None:
    assert paths(MANIFEST, [FILES[0]]) == {"config.json": SHA}
    assert paths(MANIFEST, [file]) == {}


def test_a_manifest_without_a_list_of_files_states_nothing() -> None:
    assert paths(replace(MANIFEST, baseline=Refusal(Flaw.NO_INDEX)), FILES) == {}


def test_what_is_left_out_of_the_manifest_is_not_missed() -> None:
    more = [FileFact(path, 1) for path in (".mlxk_workspace.json", ".git/x", "x.log", "new.txt")]
    gone = FileFact("gone.txt", 0, link=LinkState.BROKEN)
    checked = [(FILES[0], Digest(DigestKind.SHA256, SHA))]
    assert unrecorded(MANIFEST, [*FILES, *more, gone], checked) == [
        "huge.bin",
        "other.safetensors",
        "w.safetensors",
        "new.txt",
    ]


def test_pinning_gives_up_the_digests_of_weights_that_were_touched() -> None:
    """Their header is what it was, and so the content hash; their tensors may not be."""
    baseline = Baseline(INDEX)
    assert pinned(MANIFEST, baseline, "x", "now").tensor_digests == {"w.safetensors": TENSORS}
    healed = replace(MANIFEST, baseline=baseline.with_mtimes({"w.safetensors": 8}, MANIFEST.tensor_digests))
    assert isinstance(healed.baseline, Baseline)
    now = Baseline(tuple(replace(file, extra={}) for file in healed.baseline.files))
    assert pinned(healed, now, "x", "now").tensor_digests == {}


@pytest.mark.parametrize(
    ("code", "incomplete"), [(Code.SHARD_MISSING, True), (Code.CONFIG_INVALID, False), (None, False)]
)
def test_whether_a_damaged_model_lacks_files(code: Code | None, incomplete: bool) -> None:
    findings = (Finding(code, "x", "x", Remedy.FETCH_AGAIN),) if code else ()
    assert is_incomplete(HealthReport(findings)) is incomplete
