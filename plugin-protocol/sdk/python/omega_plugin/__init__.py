"""The Python plugin SDK: reads one request, lets `handle` answer it, writes one answer.

    import omega_plugin as omega

    def handle(request: omega.Request) -> omega.Reply:
        text = request["payload"]["content"]
        return omega.ok(omega.json_payload("shout/1", {"loud": text.upper()}))

    omega.run(handle, takes=["text"])

It is one file: copy it into the package as `omega_plugin.py`, or install the wheel into it. It opens no file, reads no
environment variable and imports only `os`, `sys` and what `json` is made of.
"""

from __future__ import annotations

import os
import sys

# Type checkers take this for true. At run time `typing` would take longer to import than all the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO, Callable, Collection, Dict, List, Literal, Optional, TypedDict, Union

    class TextPayload(TypedDict):
        """Text with metadata."""

        kind: Literal["text"]
        content: str
        encoding: Literal["utf-8"]
        metadata: Dict[str, str]

    class JsonPayload(TypedDict):
        """A JSON object that follows a named schema."""

        kind: Literal["json"]
        data: Dict[str, Any]
        schema_ref: str

    class BinaryRefPayload(TypedDict):
        """A reference to bytes that the host keeps."""

        kind: Literal["binary_ref"]
        artifact_id: str
        artifact_hash: str
        mime_type: str

    class DatasetSlicePayload(TypedDict):
        """A reference to parts of a data set that the host keeps."""

        kind: Literal["dataset_slice"]
        slice_ids: List[str]
        source: str
        filters: Dict[str, str]

    Payload = Union[TextPayload, JsonPayload, BinaryRefPayload, DatasetSlicePayload]

    class Policy(TypedDict):
        """How the request is to be run."""

        deterministic_only: bool
        timeout_ms: int
        max_retries: int

    class Request(TypedDict):
        """A host's request."""

        request_id: str
        run_id: str
        timestamp: str
        payload: Payload
        context: Dict[str, str]
        policy: Policy

    class Reply(TypedDict):
        """What `ok`, `rejected` and `error` make."""

        status: Literal["ok", "rejected", "error"]
        result: Optional[Payload]
        notes: str

    Handler = Callable[[Request], Reply]
else:
    # For annotations that are looked at while the plugin runs.
    TextPayload = JsonPayload = BinaryRefPayload = DatasetSlicePayload = Payload = dict
    Policy = Request = Reply = dict

STDOUT = 1
STDERR = 2


class NoRequest(ValueError):
    """What came in is no request that can be answered; `request_id` is "" where even that could not be read."""

    def __init__(self, reason: str, request_id: str = "") -> None:
        super().__init__(reason)
        self.request_id = request_id


def ok(payload: Payload, notes: str = "") -> Reply:
    """The answer `ok` with its result; make the payload with `json_payload` or `text_payload`."""
    return {"status": "ok", "result": payload, "notes": notes}


def rejected(notes: str) -> Reply:
    """The answer for a request that this plugin will not take, with the reason in words."""
    return {"status": "rejected", "result": None, "notes": notes}


def error(notes: str) -> Reply:
    """The answer for a request that this plugin failed on, with the reason in words."""
    return {"status": "error", "result": None, "notes": notes}


def json_payload(schema_ref: str, data: Dict[str, Any]) -> JsonPayload:
    """A payload of kind `json`: `data` is a dict that follows the schema named `schema_ref`."""
    return {"kind": "json", "schema_ref": schema_ref, "data": data}


def text_payload(content: str, metadata: Optional[Dict[str, str]] = None) -> TextPayload:
    """A payload of kind `text`: `metadata` is a dict of strings."""
    return {"kind": "text", "content": content, "encoding": "utf-8", "metadata": metadata or {}}


def run(handle: Handler, takes: Collection[str] = ()) -> None:
    """Reads the request, calls `handle(request)` and writes what it returns.

    `takes` names the kinds of payload that `handle` is for; a request with another, and what is no request at all, is
    answered `rejected`. Whatever `handle` raises is answered `error` with its message, and its trace goes to stderr.
    While it runs, all that is printed goes to stderr, also by `os.write(1, …)` or by a C library.
    """
    printed, answers = sys.stdout, _keep_stdout()
    line = answer(sys.stdin.buffer.readline(), handle, takes)
    # The gateway ends the process as soon as it has the answer.
    printed.flush()
    answers.write(line)
    answers.flush()


def _keep_stdout() -> BinaryIO:
    """The real stdout, for the answer alone: a second line on it would be refused. From now on descriptor 1 is stderr."""
    answers = os.fdopen(os.dup(STDOUT), "wb")
    os.dup2(STDERR, STDOUT)
    sys.stdout = sys.stderr
    return answers


def answer(line: bytes, handle: Handler, takes: Collection[str] = ()) -> bytes:
    """The result line for one invoke line, whatever they hold and whatever `handle` does."""
    try:
        request = read_request(line)
        if takes and request["payload"]["kind"] not in takes:
            reason = f"this plugin takes {' or '.join(takes)}, and not {request['payload']['kind']}"
            raise NoRequest(reason, request["request_id"])
    except NoRequest as reason:
        return answer_line(reason.request_id, rejected(f"Invalid request: {reason}"))
    try:
        return answer_line(request["request_id"], handle(request))
    # Also SystemExit and what else is no Exception: the host is owed an answer.
    except BaseException as failure:
        sys.excepthook(*sys.exc_info())
        return answer_line(request["request_id"], error(_words_of(failure)))


def read_request(line: bytes) -> Request:
    """The request inside one invoke line. Raises NoRequest, a ValueError, when there is none."""
    try:
        message = _loads(line.decode("utf-8"))
    # Too deep a nesting ends in the second.
    except (ValueError, RecursionError) as reason:
        raise NoRequest(f"the line is not JSON: {reason}") from None
    if not isinstance(message, dict) or message.get("type") != "invoke":
        raise NoRequest("the line is not an invoke message")
    request = message.get("request")
    if not isinstance(request, dict) or not isinstance(request.get("request_id"), str):
        raise NoRequest("the invoke message has no request with a request_id")
    payload = request.get("payload")
    if not isinstance(payload, dict) or not isinstance(payload.get("kind"), str):
        raise NoRequest("the request has no payload with a kind", request["request_id"])
    return request  # type: ignore[return-value]  # the gateway has checked the rest of it


def answer_line(request_id: str, reply: Reply) -> bytes:
    """The result line for one reply made by `ok`, `rejected` or `error`."""
    if not isinstance(reply, dict) or "status" not in reply:
        raise TypeError("handle must return ok(...), rejected(...) or error(...)")
    words = {"request_id": _written_out(request_id), "notes": _written_out(str(reply.get("notes", "")))}
    message = {"type": "result", "response": {**reply, **words}}
    return _dumps(message).encode("utf-8") + b"\n"


# `json` is written in C and in Python. Its Python half imports `re` and `enum`, which takes longer than all of Python's own start and
# is of no use to a plugin that does not import them itself. So the C half is called as `json` calls it; where there is none like that,
# and for a line that the gateway would not send, `json` itself is.
def _loads(text: str) -> Any:
    """What `json.loads` makes of the text."""
    try:
        import _json

        value, end = getattr(_json, "make_scanner")(_Reading)(text, 0)
    # In the last case there is no value: `json` has the words for it.
    except (ImportError, AttributeError, TypeError, ValueError, StopIteration):
        value, end = None, None
    if end is None or text[end:] not in ("", "\n"):
        import json

        return json.loads(text)
    return value


class _Reading:
    """What `json` tells its C half of how to read."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int, parse_constant = float, int, float


def _dumps(value: Any) -> str:
    """What `json.dumps` makes of the value, in its shortest form and without what is no JSON."""
    try:
        import _json

        text = getattr(_json, "encode_basestring")
        encode = getattr(_json, "make_encoder")({}, _no_json, text, None, ":", ",", False, False, False)
    except (ImportError, AttributeError, TypeError):
        import json

        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return "".join(encode(value, 0))


def _no_json(value: Any) -> None:
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _words_of(failure: BaseException) -> str:
    """The exception's name and message."""
    name = type(failure).__name__
    try:
        return f"{name}: {failure}"
    except Exception:  # its own __str__ fails
        return f"{name}, which has no message that can be shown"


def _written_out(text: str) -> str:
    """The text with lone surrogates as `\\ud800`: no UTF-8 can hold them."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
