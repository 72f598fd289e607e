"""Where tokens are in a completion's text, and what they are called."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mlxk.app.server.dialects.completion_logprobs import TokenLists
from mlxk.domain.generation import LogprobDelta, TokenLogprob


def token(raw: bytes, logprob: float = -0.5) -> TokenLogprob:
    return TokenLogprob(raw.decode("utf-8", "replace"), raw, logprob)


def lists(*came: bytes | str) -> TokenLists:
    """Tokens are bytes and pieces of text are text, in the order they came."""
    made = TokenLists()
    for one in came:
        if isinstance(one, bytes):
            made.add(LogprobDelta(token(one)))
        else:
            made.say(one)
    return made


def offsets(*came: bytes | str) -> object:
    return lists(*came).take()["text_offset"]


@given(st.text(min_size=1, max_size=6), st.data())
def test_a_token_is_where_its_first_character_is(text: str, data: st.DataObject) -> None:
    raw = text.encode()
    cuts = sorted(data.draw(st.sets(st.integers(1, len(raw)))) | {0, len(raw)})
    pieces = [raw[start:end] for start, end in pairwise(cuts)]
    starts = [len(raw[:cut].decode("utf-8", "ignore")) for cut in cuts[:-1]]
    assert offsets(*pieces, text) == starts
    assert all(start < len(text) for start in starts)


def test_text_that_comes_at_once_and_text_that_comes_late_have_the_same_places() -> None:
    assert offsets(b"a", "a", b"\xe4", b"\xbd", b"\xa0", "你", b"b", "b") == [0, 1, 1, 1, 2]
    assert offsets(b"s", b"t", b"a", "s", b"b", "tab") == [0, 1, 2, 3]


def test_a_space_that_was_dropped_moves_nothing_after_it() -> None:
    assert offsets(b" Hello", "Hello", b" you", " you") == [0, 5]


def test_text_without_tokens_counts() -> None:
    assert offsets("hm", b"a", "a", b"b", "b") == [2, 3]


def test_tokens_that_are_no_whole_characters_are_named_by_their_bytes() -> None:
    made = TokenLists()
    top = (token(b"\xe4", -0.1), token(b" \xe5", -0.2), token("�".encode(), -0.3), token("é".encode(), -0.4))
    made.add(LogprobDelta(top[0], top))
    made.add(LogprobDelta(token(b"a"), (token(b"a", -1.0), token(b"a", float("-inf")))))
    taken = made.take()
    assert taken["tokens"] == [r"bytes:\xe4", "a"]
    assert taken["top_logprobs"] == [
        {r"bytes:\xe4": -0.1, r"bytes: \xe5": -0.2, "�": -0.3, "é": -0.4},
        {"a": -1.0},
    ]


def test_what_was_taken_is_not_taken_again() -> None:
    made = lists(b"a", "a")
    assert made
    made.take()
    assert not made
    made.add(LogprobDelta(token(b"b", float("-inf"))))
    taken = made.take()
    assert (taken["tokens"], taken["token_logprobs"], taken["text_offset"]) == (["b"], [-9999.0], [1])
