"""Tests of the Python SDK: python3 plugin-protocol/sdk/python/test_omega_plugin.py"""

import importlib.util
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile

import omega_plugin as omega

HERE = pathlib.Path(__file__).resolve().parent
INVOKE = b'{"type":"invoke","request":{"request_id":"r \\u00e91","payload":{"kind":"text","content":"x"}}}\n'

# A plugin as a type checker should take it, and one with two mistakes that it should find.
TYPED = """import omega_plugin as omega

def handle(request: omega.Request) -> omega.Reply:
    payload = request["payload"]
    if payload["kind"] != "text":
        return omega.rejected("send a text payload")
    return omega.ok(omega.text_payload(payload["content"].upper()))

omega.run(handle, takes=["text"])
"""
MISTAKEN = """import omega_plugin as omega

def handle(request: omega.Request) -> omega.Reply:
    print(request["payload"]["data"])
    return omega.ok("text")

omega.run(handle)
"""


def run_plugin(handle, line=INVOKE, before="", takes=()):
    """Runs a plugin whose `handle` is the given lambda's text, as its own process."""
    program = f"import omega_plugin as omega\n{before}\nomega.run({handle}, takes={takes!r})\n"
    command = [sys.executable, "-B", "-c", program]
    return subprocess.run(command, input=line, capture_output=True, cwd=HERE, env={}, timeout=60)


def has(module):
    return importlib.util.find_spec(module) is not None


class Quiet(unittest.TestCase):
    def skip(self, reason):
        """Skips with the line that scripts/test shows."""
        print(f"\nskipped {self._testMethodName}: {reason}", file=sys.stderr)
        self.skipTest(reason)

    def response(self, done):
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.count(b"\n"), 1, done.stdout)
        return json.loads(done.stdout)["response"]


class Replies(Quiet):
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


class Lines(Quiet):
    def test_a_request_is_read(self):
        self.assertEqual(omega.read_request(INVOKE)["request_id"], "r é1")

    def test_what_is_no_request_is_a_value_error(self):
        lines = [b"", b"x", b"\xff", b"[]", b"null", b'{"type":"invoke"}', b'{"type":"result","request":{}}']
        lines += [b"[" * 100_000, b'{"type":"invoke","request":{"request_id":"r"}}']
        for line in lines:
            with self.assertRaises(ValueError, msg=line[:100]):
                omega.read_request(line)

    def test_what_is_read_and_written_is_what_json_reads_and_writes(self):
        texts = ['{"a":[1,-2.5e3,1e400,true,null,"\\u00e9 \\ud800 \\n"],"a":{"b":{}}}\n', " [1]\n", "[NaN,-Infinity]", "12345678901234567890", "7 \n"]
        for text in texts:
            self.assertEqual(repr(omega._loads(text)), repr(json.loads(text)), text)
        for text in ("", "[1] 2", '{"a":}', "{'a':1}", '"\x00"', "nul"):
            with self.assertRaises(json.JSONDecodeError) as told:
                omega._loads(text)
            with self.assertRaises(json.JSONDecodeError) as expected:
                json.loads(text)
            self.assertEqual(str(told.exception), str(expected.exception), text)
        loop = []
        loop.append(loop)
        for value in ({"é\n\x7f\u2028": [1, 2.50, -0.0, 1e300, True, None, {}, [], ("t",)], 7: {"x": "\ud800"}}, "x", 3, None):
            text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            self.assertEqual(omega._dumps(value), text)
        for value, kind in ((float("nan"), ValueError), ({1, 2}, TypeError), (loop, ValueError), ({(1,): 2}, TypeError)):
            with self.assertRaises(kind):
                omega._dumps(value)

    def test_an_answer_is_one_line(self):
        line = omega.answer_line("a\nb", omega.rejected("two\nlines"))
        self.assertEqual(line.count(b"\n"), 1)
        response = json.loads(line)["response"]
        self.assertEqual(response, {"request_id": "a\nb", "status": "rejected", "result": None, "notes": "two\nlines"})

    def test_a_reply_must_be_one(self):
        for reply in (None, 42, {}, "ok"):
            with self.assertRaises(TypeError):
                omega.answer_line("r", reply)


class Processes(Quiet):
    def test_a_plugin_that_imports_nothing_does_without_json_s_python_half(self):
        if not has("_json"):
            self.skip("this Python has no _json")
        text = "omega.ok(omega.text_payload(' '.join(m for m in ('json', 're', 'enum') if m in __import__('sys').modules)))"
        command = [sys.executable, "-B", "-S", "-c", f"import omega_plugin as omega\nomega.run(lambda r: {text})\n"]
        done = subprocess.run(command, input=INVOKE, capture_output=True, cwd=HERE, env={}, timeout=60)
        self.assertEqual(self.response(done)["result"]["content"], "")

    def test_an_answer_goes_out(self):
        response = self.response(run_plugin("lambda r: omega.ok(omega.text_payload(r['payload']['content']))"))
        self.assertEqual(response["request_id"], "r é1")
        self.assertEqual(response["result"]["content"], "x")

    def test_whatever_is_printed_goes_to_stderr(self):
        ways = [
            "print('aside')",
            "__import__('sys').__stdout__.write('aside')",
            "__import__('os').write(1, b'aside')",
            "__import__('os').system('echo aside')",
        ]
        if has("ctypes"):
            ways.append("(lambda c: [c.puts(b'aside'), c.fflush(None)])(__import__('ctypes').CDLL(None))")
        for way in ways:
            done = run_plugin(f"lambda r: [{way}] and omega.rejected('no')")
            self.assertEqual(self.response(done)["status"], "rejected", way)
            self.assertIn(b"aside", done.stderr, way)

    def test_what_was_printed_before_run_goes_to_stderr(self):
        done = run_plugin("lambda r: omega.rejected('no')", before="print('early')")
        self.assertEqual(self.response(done)["status"], "rejected")
        self.assertIn(b"early", done.stderr)

    def test_an_exception_becomes_the_answer_error(self):
        done = run_plugin("lambda r: r['absent']")
        response = self.response(done)
        self.assertEqual((response["status"], response["result"]), ("error", None))
        self.assertEqual(response["notes"], "KeyError: 'absent'")
        self.assertIn(b"Traceback", done.stderr)

    def test_a_handler_that_exits_still_answers(self):
        response = self.response(run_plugin("lambda r: __import__('sys').exit('enough')"))
        self.assertEqual((response["status"], response["notes"]), ("error", "SystemExit: enough"))

    def test_an_exception_without_a_message_that_can_be_shown_is_named(self):
        before = "class Mute(Exception):\n    def __str__(self): raise self\ndef handle(r): raise Mute()"
        response = self.response(run_plugin("handle", before=before))
        self.assertEqual(response["status"], "error")
        self.assertIn("Mute", response["notes"])

    def test_a_lone_surrogate_in_a_message_is_written_out(self):
        before = "def handle(r): raise ValueError('half of \\ud83d, and a whole \\U0001f44b')"
        response = self.response(run_plugin("handle", before=before))
        self.assertEqual((response["status"], response["notes"]), ("error", "ValueError: half of \\ud83d, and a whole 👋"))
        for reply in ("rejected", "error"):
            response = self.response(run_plugin(f"lambda r: omega.{reply}('\\udc00')"))
            self.assertEqual((response["status"], response["notes"]), (reply, "\\udc00"))

    def test_what_json_cannot_hold_becomes_the_answer_error(self):
        for value in ("float('nan')", "{1, 2}", "'\\ud800'"):
            response = self.response(run_plugin(f"lambda r: omega.ok(omega.json_payload('s/1', {{'a': {value}}}))"))
            self.assertEqual(response["status"], "error", value)

    def test_invalid_input_is_rejected(self):
        request = '{"type":"invoke","request":{"request_id":"r"%s}}\n'
        lines = [
            (b"", ""),
            (b"hello\n", ""),
            (b"\xff\n", ""),
            (b"[" * 100_000 + b"\n", ""),
            (b"{}\n", ""),
            (b'{"type":"invoke","request":{"request_id":"r"}}\n', "r"),
            (b'{"type":"invoke","request":{"request_id":"\\ud800"}}\n', "\\ud800"),
            ((request % ',"payload":{"kind":7}').encode(), "r"),
            ((request % ',"payload":{"kind":"json","data":{}}').encode(), "r"),
        ]
        for line, request_id in lines:
            response = self.response(run_plugin("lambda r: 1 / 0", line=line, takes=["text"]))
            self.assertEqual((response["status"], response["request_id"]), ("rejected", request_id), line[:100])
            self.assertIn("Invalid request", response["notes"])

    def test_a_kind_that_is_taken_is_handled(self):
        response = self.response(run_plugin("lambda r: omega.rejected('mine')", takes=["json", "text"]))
        self.assertEqual(response["notes"], "mine")


class Packaging(Quiet):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def pip(self, *arguments, **variables):
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
        home = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder), **variables}
        return subprocess.run(command, capture_output=True, text=True, env=home, timeout=300)

    def backend(self):
        """Where pip finds the build backend: "" when it is installed, else a folder that it was got into."""
        if has("setuptools") and has("wheel"):
            return ""
        got = self.pip("install", "--target", str(self.folder / "backend"), "setuptools", "wheel")
        if got.returncode != 0:
            self.skip("setuptools and wheel are not installed, and the registry did not give them")
        return str(self.folder / "backend")

    def test_the_file_to_copy_is_the_package_s_only_one(self):
        self.assertEqual((HERE / "omega_plugin.py").resolve(), HERE / "omega_plugin" / "__init__.py")

    def test_a_wheel_is_built_and_used(self):
        if not has("pip"):
            self.skip("pip is not installed")
        # Building leaves folders behind.
        source = self.folder / "source"
        shutil.copytree(HERE, source, ignore=shutil.ignore_patterns("__pycache__"))
        wheels, installed = self.folder / "wheels", self.folder / "installed"
        options = ["--no-build-isolation", "--no-deps", "--no-index"]
        built = self.pip("wheel", *options, "-w", str(wheels), str(source), PYTHONPATH=self.backend())
        self.assertEqual(built.returncode, 0, built.stdout + built.stderr)
        (wheel,) = wheels.iterdir()
        names = zipfile.ZipFile(wheel).namelist()
        self.assertEqual(
            sorted(name for name in names if ".dist-info/" not in name), ["omega_plugin/__init__.py", "omega_plugin/py.typed"]
        )
        done = self.pip("install", "--no-deps", "--no-index", "--target", str(installed), str(wheel))
        self.assertEqual(done.returncode, 0, done.stderr)
        command = [sys.executable, "-B", "-c", TYPED]
        done = subprocess.run(command, input=INVOKE, capture_output=True, cwd=installed, env={}, timeout=60)
        self.assertEqual(self.response(done)["result"]["content"], "X")

    def test_the_types_hold_and_find_mistakes(self):
        if not shutil.which("mypy"):
            self.skip("mypy is not installed")
        for text, mistakes in ((TYPED, set()), (MISTAKEN, {"4", "5"})):
            (self.folder / "plugin.py").write_text(text)
            command = ["mypy", "--strict", "--cache-dir", str(self.folder / "cache"), "plugin.py"]
            # The file to copy, as authors have it beside their program.
            shutil.copy(HERE / "omega_plugin.py", self.folder)
            done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, timeout=300)
            self.assertEqual(done.returncode, 1 if mistakes else 0, done.stdout + done.stderr)
            found = {line.split(":")[1] for line in done.stdout.splitlines() if line.startswith("plugin.py:")}
            self.assertEqual(found, mistakes, done.stdout)


if __name__ == "__main__":
    unittest.main()
