"""The Python plugin SDK: reads one request, lets `handle` answer it, writes one answer.

    import omega_plugin as omega

    def handle(request):
        if request["payload"]["kind"] != "text":
            return omega.rejected("send a text payload")
        return omega.ok(omega.json_payload("shout/1", {"loud": request["payload"]["content"].upper()}))

    omega.run(handle)

It opens no file, reads no environment variable and imports only `json` and `sys`.
"""

import json
import sys


def ok(payload, notes=""):
    """The answer `ok` with its result; make the payload with `json_payload` or `text_payload`."""
    return {"status": "ok", "result": payload, "notes": notes}


def rejected(notes):
    """The answer for a request that this plugin will not take, with the reason in words."""
    return {"status": "rejected", "result": None, "notes": notes}


def error(notes):
    """The answer for a request that this plugin failed on, with the reason in words."""
    return {"status": "error", "result": None, "notes": notes}


def json_payload(schema_ref, data):
    """A payload of kind `json`: `data` is a dict that follows the schema named `schema_ref`."""
    return {"kind": "json", "schema_ref": schema_ref, "data": data}


def text_payload(content, metadata=None):
    """A payload of kind `text`: `metadata` is a dict of strings."""
    return {"kind": "text", "content": content, "encoding": "utf-8", "metadata": metadata or {}}


def run(handle):
    """Reads the request, calls `handle(request)`, writes what it returns and ends the process.

    An exception in `handle` becomes the answer `error`. Without a readable request there is nobody
    to answer, so the words go to stderr and the exit code is 1.
    """
    answers = sys.stdout.buffer
    # A stray print() must not become a second line on stdout, which the gateway would refuse.
    sys.stdout = sys.stderr
    try:
        request = read_request(sys.stdin.buffer.readline())
    except ValueError as reason:
        sys.exit(f"no request that can be answered: {reason}")
    try:
        line = answer_line(request, handle(request))
    except Exception as failure:  # whatever went wrong, the host is owed an answer
        line = answer_line(request, error(f"{type(failure).__name__}: {failure}"))
    answers.write(line)
    answers.flush()


def read_request(line):
    """The request inside one invoke line (bytes). Raises ValueError when there is none."""
    message = json.loads(line.decode("utf-8"))
    if not isinstance(message, dict) or message.get("type") != "invoke":
        raise ValueError("the line is not an invoke message")
    request = message.get("request")
    if not isinstance(request, dict) or not isinstance(request.get("request_id"), str):
        raise ValueError("the invoke message has no request with a request_id")
    return request


def answer_line(request, reply):
    """The result line (bytes) for one reply made by `ok`, `rejected` or `error`."""
    if not isinstance(reply, dict) or "status" not in reply:
        raise TypeError("handle must return ok(...), rejected(...) or error(...)")
    message = {"type": "result", "response": {"request_id": request["request_id"], **reply}}
    text = json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8") + b"\n"
