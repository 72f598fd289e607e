"""How many tokens a generation may have."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlxk.domain.errors import ErrorKind, InvalidInput
from mlxk.domain.tokens import (
    MULTIMODAL_LIMIT,
    NO_MODEL_LIMIT,
    UNKNOWN_CONTEXT,
    Modality,
    completion_limit,
    default_limit_on_server,
    default_limit_on_terminal,
    effective_context,
    refuse_longer_prompt,
)


def test_the_numbers_of_the_contract() -> None:
    assert (UNKNOWN_CONTEXT, NO_MODEL_LIMIT, MULTIMODAL_LIMIT) == (4096, 2048, 2048)


@pytest.mark.parametrize(("context", "effective"), [(8192, 8192), (1, 1), (None, 4096), (0, 4096)])
def test_an_unknown_context_is_4096(context: int | None, effective: int) -> None:
    assert effective_context(context) == effective


@pytest.mark.parametrize(
    ("modality", "context", "terminal", "server"),
    [
        (Modality.TEXT, 32768, 32768, 16384),
        (Modality.TEXT, 4097, 4097, 2048),
        (Modality.TEXT, None, 4096, 2048),
        (Modality.TEXT, 1, 1, 1),
        (Modality.VISION, 131072, 2048, 2048),
        (Modality.VISION, None, 2048, 2048),
        (Modality.AUDIO, 448, 2048, 2048),
        (Modality.AUDIO, None, 2048, 2048),
    ],
)
def test_defaults(modality: Modality, context: int | None, terminal: int, server: int) -> None:
    assert default_limit_on_terminal(modality, context) == terminal
    assert default_limit_on_server(modality, context) == server


@pytest.mark.parametrize(
    ("prompt", "context", "requested", "default", "limit"),
    [
        (100, 8192, None, None, 8092),  # all the context leaves
        (100, 8192, None, 500, 500),  # the default
        (100, 8192, 50, 500, 50),  # the request wins, below
        (100, 8192, 700, 500, 700),  # and above
        (8000, 8192, 700, 500, 192),  # within what the context leaves
        (8000, 8192, None, 500, 192),
        (8191, 8192, 700, None, 1),
        (96, None, 9999, None, 4000),
        (0, 10, None, None, 10),
    ],
)
def test_limits(
    prompt: int, context: int | None, requested: int | None, default: int | None, limit: int
) -> None:
    assert completion_limit(prompt, context, requested=requested, default=default) == limit


@pytest.mark.parametrize("prompt", [8192, 8193, 20000])
def test_a_prompt_that_does_not_fit_is_an_error_with_both_numbers(prompt: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        completion_limit(prompt, 8192, requested=1)
    assert caught.value.kind is ErrorKind.VALIDATION
    assert f"{prompt} tokens" in caught.value.message
    assert "8192 tokens" in caught.value.message
    assert "assumed" not in caught.value.message
    assert caught.value.hint


def test_an_assumed_context_is_said_to_be_assumed() -> None:
    with pytest.raises(InvalidInput, match=r"5000 tokens .* 4096 tokens \(assumed"):
        completion_limit(5000, None, requested=None)


@given(
    st.integers(0, 10_000),
    st.none() | st.integers(1, 10_000),
    st.none() | st.integers(1, 10_000),
    st.none() | st.integers(1, 10_000),
)
@settings(deadline=None)
def test_prompt_and_answer_always_fit_the_context(
    prompt: int, context: int | None, requested: int | None, default: int | None
) -> None:
    room = effective_context(context) - prompt
    try:
        limit = completion_limit(prompt, context, requested=requested, default=default)
    except InvalidInput:
        assert room < 1
    else:
        assert 1 <= limit <= room
        assert requested is None or limit <= requested


@pytest.mark.parametrize(("least", "context"), [(8193, 8192), (4097, None), (10_000_000, 1)])
def test_a_prompt_that_is_only_partly_counted_is_refused_once_that_is_too_much(
    least: int, context: int | None
) -> None:
    with pytest.raises(InvalidInput, match=f"more than {least} tokens .* {context or 4096} tokens"):
        refuse_longer_prompt(least, context)


@pytest.mark.parametrize(("least", "context"), [(0, 8192), (8192, 8192), (4096, None)])
def test_what_is_counted_of_it_may_fill_the_context(least: int, context: int | None) -> None:
    refuse_longer_prompt(least, context)
