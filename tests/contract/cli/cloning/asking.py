"""What the tests of `mlxk clone` share."""

import pytest

from tests.contract.cli.conftest import Outcome
from tests.isolation import Place

OTHER = "b" * 40
"""A commit that no Hub has."""


def ask(url: str, monkeypatch: pytest.MonkeyPatch, place: Place) -> None:
    """Let commands ask the Hub at an address."""
    from huggingface_hub import constants

    monkeypatch.setenv("HF_ENDPOINT", url)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(place.root / "no-token"))


def failed(done: Outcome, kind: str, code: int, status: str) -> dict[str, object]:
    """The error of a clone that failed, with its data."""
    envelope = done.envelope()
    assert (done.code, envelope["error"]["type"]) == (code, kind), envelope
    assert envelope["data"]["clone_status"] == status
    assert envelope["data"]["message"] == envelope["error"]["message"]
    error: dict[str, object] = envelope["error"]
    return error
