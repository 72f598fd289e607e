"""Nothing secret is ever logged: not in a message, a field, a traceback or a library's own line."""

import io
import json
import logging
import string
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlxk.app.logs import REDACTED, Redactor, configure, redactor_for
from mlxk.app.settings import Settings

HOME = "/home/ada"
KEY = "sk-configured-key"
SIGNED = "https://cdn.example/x?X-Amz-Signature=5ecre7&Expires=1&Policy=p0l1cy&Key-Pair-Id=KEYPAIR&n=1"

LETTERS = string.ascii_letters + string.digits
hub_tokens = st.builds(
    "{}{}".format, st.sampled_from(["hf_", "hf_oauth_", "hf_jwt_"]), st.text(LETTERS, min_size=20)
)
around = st.text(string.printable, max_size=20).filter(lambda text: not text or text[-1] not in LETTERS + "_")


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, shown = root.handlers[:], root.level, warnings.showwarning
    yield
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(capture=False)
    warnings.showwarning = shown
    structlog.reset_defaults()


def redactor() -> Redactor:
    return redactor_for({"HOME": HOME, "MLXK_API_KEY": KEY, "HF_TOKEN": "configured-hub-token"})


def logged(log_json: bool) -> io.StringIO:
    stream = io.StringIO()
    configure(Settings(log_level="debug", log_json=log_json), redactor(), stream)
    return stream


both_formats = pytest.mark.parametrize("log_json", [False, True], ids=["text", "json"])


# text


@given(around, hub_tokens, around)
def test_hub_tokens_are_hidden_wherever_they_stand(before: str, token: str, after: str) -> None:
    assert token not in Redactor()(before + token + after)


@given(around, st.text(string.printable.strip(), min_size=4, max_size=40), around)
@example("", "abcd1234", "")
def test_configured_secrets_are_hidden_whatever_they_look_like(before: str, secret: str, after: str) -> None:
    if secret in REDACTED:
        return
    assert secret not in Redactor(("abcd", secret))(f"{before} {secret} {after}").replace(REDACTED, "")


def test_of_two_secrets_that_begin_alike_no_end_stays_behind() -> None:
    assert Redactor(("abcd", "abcd-the-rest"))("key abcd-the-rest") == f"key {REDACTED}"


@given(st.text(LETTERS + "-._~+/", min_size=8), st.sampled_from(["Bearer", "bearer", "BEARER"]))
def test_bearer_tokens_are_hidden(token: str, scheme: str) -> None:
    assert Redactor()(f'"Authorization": "{scheme} {token}"') == f'"Authorization": "{scheme} {REDACTED}"'


def test_signed_addresses_lose_their_signature_and_keep_the_rest() -> None:
    shown = Redactor()(f"GET {SIGNED} 200")
    for secret in ("5ecre7", "p0l1cy", "KEYPAIR"):
        assert secret not in shown
    assert shown.startswith("GET https://cdn.example/x?")
    assert shown.endswith("&n=1 200")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"{HOME}/models/x", "~/models/x"),
        (f"open('{HOME}')", "open('~')"),
        (f"{HOME}lovelace/x", f"{HOME}lovelace/x"),
        (f"{HOME}.old", f"{HOME}.old"),
        (f"a:{HOME}:b", "a:~:b"),
    ],
)
def test_the_home_directory_becomes_a_tilde(text: str, shown: str) -> None:
    assert redactor()(text) == shown


@pytest.mark.parametrize("home", ["", "/"])
def test_no_home_worth_hiding_leaves_paths_alone(home: str) -> None:
    assert redactor_for({"HOME": home})("/etc/x") == "/etc/x"


@pytest.mark.parametrize(
    "text", ["hf_hub_download failed", "the token count is 5", "a bearer of news", "top_p"]
)
def test_ordinary_words_stay(text: str) -> None:
    assert "REDACTED" not in Redactor()(text).replace(f"bearer {REDACTED}", "")


def test_a_secret_of_three_letters_is_not_searched_for() -> None:
    assert Redactor(("the",))("the model") == "the model"


# events


@both_formats
@settings(max_examples=25)
@given(token=hub_tokens, word=st.text(LETTERS, min_size=1))
def test_messages_and_fields_are_redacted_however_deep(log_json: bool, token: str, word: str) -> None:
    stream = logged(log_json)
    structlog.get_logger("test").warning(
        f"{word} {token}",
        text=token,
        number=7,
        deep={"list": [token, {"set": {token}}], token: "as a key"},
        thing=Path(f"{HOME}/{token}"),
    )
    line = stream.getvalue()
    assert token not in line
    assert HOME not in line
    assert word in line
    assert "7" in line


@both_formats
@pytest.mark.parametrize("value", ["plain-text", b"bytes", ["a-list"], {"in": "a-dict"}, Path("a-path")])
@pytest.mark.parametrize(
    "name", ["api_key", "API-Key", "hf_token", "Authorization", "client_secret", "password"]
)
def test_fields_with_secret_names_are_hidden_whatever_they_hold(
    log_json: bool, name: str, value: object
) -> None:
    stream = logged(log_json)
    structlog.get_logger("test").error("request", headers={name: value}, **{name: value})
    line = stream.getvalue()
    assert line.count(REDACTED) == 2
    assert not any(text in line for text in ("plain-text", "bytes", "a-list", "a-dict", "a-path"))


@both_formats
def test_numbers_of_tokens_are_no_secrets(log_json: bool) -> None:
    stream = logged(log_json)
    structlog.get_logger("test").info("generated", prompt_tokens=12, token=13)
    assert "12" in stream.getvalue()
    assert "13" in stream.getvalue()


@both_formats
def test_tracebacks_are_redacted(log_json: bool) -> None:
    stream = logged(log_json)
    try:
        raise ValueError(f"{KEY} in {HOME}/x") from OSError("Bearer abcdefgh")
    except ValueError:
        structlog.get_logger("test").exception("failed")
        logging.getLogger("library").exception("failed")
    shown = stream.getvalue()
    assert shown.count("Traceback") >= 2
    assert shown.count("ValueError: ") == 2
    for secret in (KEY, "abcdefgh", HOME):
        assert secret not in shown


@both_formats
def test_what_libraries_log_takes_the_same_way(log_json: bool) -> None:
    stream = logged(log_json)
    logging.getLogger("huggingface_hub.file_download").warning("retrying %s for %s", SIGNED, KEY)
    line = stream.getvalue()
    assert KEY not in line
    assert "5ecre7" not in line
    assert "huggingface_hub.file_download" in line


@both_formats
def test_a_library_cannot_add_a_handler_of_its_own(log_json: bool, capfd: pytest.CaptureFixture[str]) -> None:
    stream = logged(log_json)
    for library in ("huggingface_hub", "transformers"):
        logger = logging.getLogger(library)
        logger.addHandler(logging.StreamHandler(sys.stdout))
        logger.propagate = False
        logging.getLogger(f"{library}.inner").error("once %s", KEY)
    assert stream.getvalue().count("once") == 2
    assert KEY not in stream.getvalue()
    assert capfd.readouterr() == ("", "")


@both_formats
def test_warnings_are_log_lines(log_json: bool) -> None:
    stream = logged(log_json)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn(f"do not use {KEY}", stacklevel=1)
        logging.captureWarnings(capture=False)
    assert REDACTED in stream.getvalue()
    assert KEY not in stream.getvalue()


def test_json_lines_are_json_with_the_promised_keys() -> None:
    stream = logged(log_json=True)
    structlog.get_logger("mlxk.test").warning("naïve\nevent", request_id="r1", field="ünï")
    logging.getLogger("library").error("plain")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first["ts"].endswith("Z")
    assert {key: first[key] for key in ("level", "event", "logger", "request_id", "field")} == {
        "level": "warning",
        "event": "naïve\nevent",
        "logger": "mlxk.test",
        "request_id": "r1",
        "field": "ünï",
    }
    assert (second["level"], second["event"], second["logger"]) == ("error", "plain", "library")


@pytest.mark.parametrize(("level", "lines"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_the_level_decides_what_is_logged(level: str, lines: int) -> None:
    stream = io.StringIO()
    configure(Settings(log_level=level), Redactor(), stream)
    for method in ("debug", "info", "warning", "error"):
        getattr(structlog.get_logger("test"), method)("line")
    assert len(stream.getvalue().splitlines()) == lines


def test_the_real_hub_client_prints_each_line_once_and_redacted() -> None:
    program = """
import logging
from mlxk.app.logs import configure, redactor_for
from mlxk.app.settings import Settings
configure(Settings(), redactor_for({"MLXK_API_KEY": "sk-configured-key"}))
from huggingface_hub.utils import logging as hub
import transformers.utils.logging as transformers
hub.get_logger("huggingface_hub.x").warning("hub says sk-configured-key")
transformers.get_logger("transformers.x").error("transformers says sk-configured-key")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == ""
    assert KEY not in done.stderr
    assert (done.stderr.count("hub says"), done.stderr.count("transformers says")) == (1, 1)
