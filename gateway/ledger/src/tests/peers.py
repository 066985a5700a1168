"""Lets PyPI's aics-witness cosign checkpoints over HTTP, and aics-tlog verify what was cosigned elsewhere.

usage: peers.py FILE, with {"log", "ours", "rows": [{"request", "note"}]}; prints {"vkey", "lines"}.
"""

import http.client
import json
import logging
import sys
import tempfile
import threading
from pathlib import Path

from aics_tlog import parse_note, parse_vkey, verify_checkpoint
from aics_witness import LogConfig, Witness, WitnessStore, make_server
from aics_witness.store import load_or_create_key

logging.disable(logging.CRITICAL)
with open(sys.argv[1], encoding="utf-8") as file:
    asked = json.load(file)
log, ours = parse_vkey(asked["log"]), parse_vkey(asked["ours"])
folder = Path(tempfile.mkdtemp(dir=Path(sys.argv[1]).parent))
key, _, _ = load_or_create_key(folder / "key", create=True)
with WitnessStore(folder / "db", create=True) as store:
    logs = [LogConfig.from_strings(log.name, [asked["log"]])]
    witness = Witness("witness.example/theirs", key, store, logs)
    store.bind_witness_vkey(witness.vkey_text)
    server = make_server(witness)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    to = http.client.HTTPConnection(*server.server_address[:2])
    lines = []
    for row in asked["rows"]:
        result = verify_checkpoint(parse_note(row["note"]), log, [ours], 1, expected_origin=log.name)
        assert result.ok, result.error
        to.request("POST", "/add-checkpoint", row["request"].encode("utf-8"))
        answer = to.getresponse()
        body = answer.read().decode("utf-8")
        assert answer.status == 200, (answer.status, body, row["request"])
        lines.append(body)
    # One that it has seen already is answered by 409 with its size.
    to.request("POST", "/add-checkpoint", asked["rows"][0]["request"].encode("utf-8"))
    answer = to.getresponse()
    assert (answer.status, answer.read()) == (409, b"%d\n" % len(lines)), answer.status
    server.shutdown()
print(json.dumps({"vkey": witness.vkey_text, "lines": lines}))
