"""Which digest the content of each file must have."""

import hashlib

import pytest

from mlxk.domain.model import FileFact, LinkState
from mlxk.domain.verification import Digest, DigestKind, expected_digest, verifiable

SHA256 = hashlib.sha256(b"weights").hexdigest()
SHA1 = hashlib.sha1(b"blob 7\0weights").hexdigest()


@pytest.mark.parametrize(
    ("blob", "digest"),
    [
        (SHA256, Digest(DigestKind.SHA256, SHA256)),
        (SHA1, Digest(DigestKind.GIT_BLOB_SHA1, SHA1)),
        (None, None),
        ("", None),
        (SHA256[:-1], None),
        (SHA256 + "0", None),
        (SHA1[:-1] + "g", None),
        (SHA256.upper(), None),
        (f"{SHA256}\n", None),
        (f"{SHA1}.incomplete", None),
        ("0" * 52, None),
        ("٠" * 40, None),
    ],
)
def test_a_blobs_name_states_its_digest(blob: str | None, digest: Digest | None) -> None:
    assert expected_digest(blob) == digest


def test_files_with_a_stated_digest_can_be_verified_in_their_order() -> None:
    model = FileFact("model.safetensors", 7, link=LinkState.INSIDE, blob=SHA256)
    config = FileFact("config.json", 7, link=LinkState.INSIDE, blob=SHA1)
    files = [model, FileFact("notes.txt", 3), config, FileFact("x", 1, link=LinkState.INSIDE, blob="x")]
    assert verifiable(files) == [
        (model, Digest(DigestKind.SHA256, SHA256)),
        (config, Digest(DigestKind.GIT_BLOB_SHA1, SHA1)),
    ]


def test_a_blob_with_two_names_is_hashed_once() -> None:
    files = [FileFact(path, 7, link=LinkState.INSIDE, blob=SHA1) for path in ("a.json", "b.json")]
    assert [file.path for file, _ in verifiable(files)] == ["a.json"]


@pytest.mark.parametrize("link", [LinkState.BROKEN, LinkState.ESCAPES])
def test_what_lies_behind_a_bad_link_is_not_hashed(link: LinkState) -> None:
    bad = FileFact("a.json", 7, link=link, blob=SHA1)
    good = FileFact("b.json", 7, link=LinkState.INSIDE, blob=SHA1)
    assert verifiable([bad]) == []
    assert [file.path for file, _ in verifiable([bad, good])] == ["b.json"]
