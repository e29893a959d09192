"""Messages: every one survives its line, and no line breaks the reader."""

import json

import pytest
from facequery_protocol import messages
from facequery_protocol.errors import ProtocolError
from facequery_protocol.messages import Failure, MessageError, Request, Result, decode, encode
from hypothesis import given
from hypothesis import strategies as st

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
ids = st.integers(-(2**53), 2**53) | st.text(max_size=50)
names = st.text(min_size=1, max_size=50)
some_messages = (
    st.builds(Request, names, st.dictionaries(st.text(), json_values, max_size=4), st.none() | ids)
    | st.builds(Result, ids, json_values)
    | st.builds(Failure, st.none() | ids, st.integers(-40000, 0), names, st.text(), names)
    | st.builds(messages.hello, names, names, st.lists(names, max_size=4))
    | st.builds(messages.progress, ids, st.text(), st.integers(0, 2**40), st.integers(0, 2**40))
    | st.builds(messages.log, st.text(), names, st.none() | ids)
    | st.builds(messages.heartbeat, st.floats(0, 1e9), st.lists(ids, max_size=4))
)


def safe(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


@given(some_messages)
def test_a_message_is_one_line_and_comes_back(message):
    line = encode(message)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    if safe(repr(message)):
        assert decode(line) == message


def test_the_lines_are_json_rpc():
    assert json.loads(encode(Request("track", {"a": 1}, 7))) == {
        "jsonrpc": "2.0", "id": 7, "method": "track", "params": {"a": 1},
    }  # fmt: skip
    error = json.loads(encode(Failure(7, messages.USER_ERROR, "No face.", "Draw a region.", "FQ230")))["error"]
    assert error["code"] == -32000 and error["message"] == "No face. Draw a region."
    assert error["data"] == {"code": "FQ230", "cause": "No face.", "next_step": "Draw a region."}


def test_numbers_that_json_lacks_become_null():
    assert json.loads(encode(Result(1, {"a": [float("nan"), float("inf"), 1.5]})))["result"] == {"a": [None, None, 1.5]}


@given(st.binary(max_size=300) | st.text(max_size=300) | json_values.map(json.dumps))
def test_any_line_gives_a_message_or_an_answer(line):
    try:
        decode(line)
    except MessageError as error:
        assert error.failure.kind in (-32700, -32600, -32602) and "\n" not in str(error)
        encode(error.failure)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"", -32700),
        (b"\xff\xfe", -32700),
        (b"{", -32700),
        (b"[" * 100_000, -32700),
        (b'{"jsonrpc":"2.0","method":"x","params":' + b'{"a":' * 5000 + b"1" + b"}" * 5001, -32700),
        (b'{"jsonrpc":"2.0","id":1,"result":' + b"9" * 5000 + b"}", -32700),
        (b'{"jsonrpc":"2.0","id":1,"result":NaN}', -32700),
        (b" " * (messages.LONGEST_LINE + 1), -32700),
        (b"7", -32600),
        (b'{"jsonrpc":"1.0","method":"x"}', -32600),
        (b'{"jsonrpc":"2.0","method":7}', -32600),
        (b'{"jsonrpc":"2.0","method":""}', -32600),
        (b'{"jsonrpc":"2.0","method":"x","id":[1]}', -32600),
        (b'{"jsonrpc":"2.0","method":"x","id":true}', -32600),
        (b'{"jsonrpc":"2.0","method":"x","params":[1]}', -32602),
        (b'{"jsonrpc":"2.0","id":1}', -32600),
        (b'{"jsonrpc":"2.0","result":1}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"error":"bad"}', -32600),
    ],
)
def test_bad_lines_get_the_protocols_answer(line, kind):
    with pytest.raises(MessageError) as error:
        decode(line)
    assert error.value.failure.kind == kind


def test_brackets_in_a_text_are_no_nesting():
    message = Request("log", {"text": "[" * 5000})
    assert decode(encode(message)) == message


def test_the_answer_to_a_bad_request_carries_its_id():
    with pytest.raises(MessageError) as error:
        decode(b'{"jsonrpc":"2.0","id":42,"method":"x","params":3}')
    assert error.value.failure.id == 42


def test_greeting():
    greeting = decode(encode(messages.hello("0.1.0", "cpu", ["ping"], pid=3)))
    assert messages.check_hello(greeting)["device"] == "cpu"
    for wrong in (Request("hello", {"protocol": 99}), Request("log"), Result(1)):
        with pytest.raises(ProtocolError):
            messages.check_hello(wrong)
