"""Tests of the Python SDK: python3 plugin-protocol/sdk/python/test_omega_plugin.py"""

import json
import pathlib
import subprocess
import sys
import unittest

import omega_plugin as omega

HERE = pathlib.Path(__file__).resolve().parent
INVOKE = b'{"type":"invoke","request":{"request_id":"r \\u00e91","payload":{"kind":"text","content":"x"}}}\n'


def run_plugin(handle, line=INVOKE):
    """Runs a plugin whose `handle` is the given lambda's text, as its own process."""
    program = f"import omega_plugin as omega\nomega.run({handle})\n"
    command = [sys.executable, "-B", "-c", program]
    return subprocess.run(command, input=line, capture_output=True, cwd=HERE, env={}, timeout=60)


class Replies(unittest.TestCase):
    def test_ok_carries_the_payload(self):
        payload = omega.json_payload("s/1", {"a": 1})
        self.assertEqual(payload, {"kind": "json", "schema_ref": "s/1", "data": {"a": 1}})
        self.assertEqual(omega.ok(payload), {"status": "ok", "result": payload, "notes": ""})

    def test_a_text_payload_has_every_field_of_the_contract(self):
        expected = {"kind": "text", "content": "é", "encoding": "utf-8", "metadata": {}}
        self.assertEqual(omega.text_payload("é"), expected)

    def test_refusals_carry_their_words_and_no_result(self):
        for reply, status in ((omega.rejected("why"), "rejected"), (omega.error("why"), "error")):
            self.assertEqual(reply, {"status": status, "result": None, "notes": "why"})


class Lines(unittest.TestCase):
    def test_a_request_is_read(self):
        self.assertEqual(omega.read_request(INVOKE)["request_id"], "r é1")

    def test_what_is_no_request_is_a_value_error(self):
        for line in (b"", b"x", b"\xff", b"[]", b"null", b'{"type":"invoke"}', b'{"type":"result","request":{}}'):
            with self.assertRaises(ValueError, msg=line):
                omega.read_request(line)

    def test_an_answer_is_one_line(self):
        line = omega.answer_line({"request_id": "a\nb"}, omega.rejected("two\nlines"))
        self.assertEqual(line.count(b"\n"), 1)
        response = json.loads(line)["response"]
        self.assertEqual(response, {"request_id": "a\nb", "status": "rejected", "result": None, "notes": "two\nlines"})

    def test_a_reply_must_be_one(self):
        for reply in (None, 42, {}, "ok"):
            with self.assertRaises(TypeError):
                omega.answer_line({"request_id": "r"}, reply)


class Processes(unittest.TestCase):
    def response(self, done):
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.count(b"\n"), 1, done.stdout)
        return json.loads(done.stdout)["response"]

    def test_an_answer_goes_out(self):
        response = self.response(run_plugin("lambda r: omega.ok(omega.text_payload(r['payload']['content']))"))
        self.assertEqual(response["request_id"], "r é1")
        self.assertEqual(response["result"]["content"], "x")

    def test_print_goes_to_stderr(self):
        done = run_plugin("lambda r: print('aside') or omega.rejected('no')")
        self.assertEqual(self.response(done)["status"], "rejected")
        self.assertIn(b"aside", done.stderr)

    def test_an_exception_becomes_the_answer_error(self):
        response = self.response(run_plugin("lambda r: r['absent']"))
        self.assertEqual((response["status"], response["result"]), ("error", None))
        self.assertIn("KeyError", response["notes"])

    def test_what_json_cannot_hold_becomes_the_answer_error(self):
        for value in ("float('nan')", "{1, 2}", "'\\ud800'"):
            response = self.response(run_plugin(f"lambda r: omega.ok(omega.json_payload('s/1', {{'a': {value}}}))"))
            self.assertEqual(response["status"], "error", value)

    def test_no_request_gives_no_answer(self):
        done = run_plugin("lambda r: omega.rejected('no')", line=b"hello\n")
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(b"no request", done.stderr)


if __name__ == "__main__":
    unittest.main()
