"""Runs every built sample by hand, as the gateway would start it: empty environment, empty folder.

    scripts/packages && python3 sample-plugins/test_packages.py

The packages are looked for in target/packages, or in the folder that PACKAGES names.
"""

import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGES = pathlib.Path(os.environ.get("PACKAGES", ROOT / "target" / "packages"))

# Each text with its words and its characters.
TEXTS = [
    ("one", 1, 3),
    ("  two  words ", 2, 13),
    ("tab\tline\nreturn\r\nfeed\fend", 5, 25),
    ("Grüße an 日本 и мир", 5, 17),
    ("\u0080\u00bf\u00ff\u07ff\u0800\uffff\U00010000\U0010ffff", 1, 8),
    ("wave 👋🏽 \\ back\\\\slash \\", 5, 23),
    ('"quoted" \\"', 2, 11),
    ("{\"request\":{\"request_id\":\"other\"}}", 1, 34),
    ("ctl \u0001\u001f * ? [a-z]* $HOME `id`", 7, 28),
    ("%s %d %n \\n", 4, 11),
    (" ", 0, 1),
]

# What the gateway does for a plugin in the worker form, in its shortest words.
WORKER_LOADER = """
const [file, name] = process.argv.slice(1);
const { request } = JSON.parse(require('fs').readFileSync(0));
console.log(JSON.stringify({ type: 'result', response: require(file)[name](request) }));
"""


def invoke_line(payload, request_id="request 1", ascii_only=False):
    request = {
        "request_id": request_id,
        "run_id": "run",
        "timestamp": "2025-01-01T00:00:00.000Z",
        "payload": payload,
        "context": {"kind": "none", "a/b": "[", "[": "\\"},
        "policy": {"deterministic_only": False, "timeout_ms": 1000, "max_retries": 0},
    }
    message = {"type": "invoke", "request": request}
    return json.dumps(message, ensure_ascii=ascii_only).encode() + b"\n"


def text_payload(content):
    metadata = {"content": "not this", "request_id": "nor this"}
    return {"kind": "text", "content": content, "encoding": "utf-8", "metadata": metadata}


class Sample:
    """One package in a folder of its own, so that a run can leave no trace in the original."""

    def __init__(self, folder, name):
        self.name = name
        self.package = folder / name
        shutil.copytree(PACKAGES / name, self.package)
        self.manifest = json.loads((self.package / "plugin.json").read_text())
        self.empty = folder / f"{name}-empty"
        self.empty.mkdir()

    def command(self):
        entry = self.manifest["entrypoint"]
        if entry["type"] == "worker":
            return [shutil.which("node"), "-e", WORKER_LOADER, str(self.package / entry["file"]), entry["export"]]
        program, *files = entry["command"]
        inside = [str(self.package / file) for file in files]
        if program.startswith("./"):
            return [str(self.package / program), *inside]
        # A launcher of another kind (a version manager's script) would need an environment.
        return [sys.executable if program == "python3" else shutil.which(program), *inside]

    def run(self, line, **options):
        memory = self.manifest["limits"]["max_memory_bytes"]
        return subprocess.run(
            self.command(),
            input=line,
            env={},
            cwd=self.empty,
            capture_output=True,
            timeout=60,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (memory, memory)),
            **options,
        )

    def answer(self, line):
        done = self.run(line)
        if done.returncode != 0 or done.stdout.count(b"\n") != 1:
            raise AssertionError(f"{self.name}: exit {done.returncode}, {done.stdout!r}, {done.stderr!r}")
        message = json.loads(done.stdout)
        assert message["type"] == "result", message
        return message["response"]


class Packages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        built = sorted(path.name for path in PACKAGES.iterdir() if path.is_dir())
        cls.samples = [Sample(pathlib.Path(folder.name), name) for name in built]
        cls.programs = [s for s in cls.samples if s.manifest["entrypoint"]["type"] == "process"]
        cls.hellos = [s for s in cls.samples if s.name.startswith("hello-")]

    def built(self, samples):
        self.assertTrue(samples, f"nothing is built in {PACKAGES}: run scripts/packages")
        return samples

    def test_words_and_characters_are_the_same_in_every_language(self):
        for sample in self.built(self.hellos):
            with self.subTest(sample.name):
                for content, words, characters in TEXTS:
                    for ascii_only in (False, True):
                        response = sample.answer(invoke_line(text_payload(content), ascii_only=ascii_only))
                        self.assertEqual(response["status"], "ok", content)
                        self.assertEqual(response["result"]["schema_ref"], "hello/1")
                        data = response["result"]["data"]
                        self.assertTrue(data.pop("greeting"))
                        expected = {"word_count": words, "original_length": characters}
                        self.assertEqual(data, expected, content)

    def test_the_request_id_comes_back_as_it_was(self):
        for sample in self.built(self.samples):
            with self.subTest(sample.name):
                for request_id in ("plain", 'q"uo\\te', "\u0001 tab\t", "é日👋", "é" * 256, "\\"):
                    response = sample.answer(invoke_line(text_payload("x"), request_id))
                    self.assertEqual(response["request_id"], request_id)

    def test_empty_and_wrong_payloads_are_rejected(self):
        wrong = [
            text_payload(""),
            {"kind": "json", "schema_ref": "x", "data": {"kind": "text", "content": "x", "l": [["a"], {}]}},
            {"kind": "binary_ref", "artifact_id": "a", "artifact_hash": "0" * 64, "mime_type": "x/y"},
            {"kind": "dataset_slice", "slice_ids": ["text"], "source": "s", "filters": {}},
        ]
        for sample in self.built(self.samples):
            with self.subTest(sample.name):
                for payload in wrong:
                    response = sample.answer(invoke_line(payload))
                    self.assertEqual(response["status"], "rejected", payload)
                    self.assertIsNone(response["result"])
                    self.assertTrue(response["notes"])

    def test_no_request_is_rejected(self):
        lines = [b"", b"\n", b"hello\n", b"{}\n", b"[]\n", b'{"type":"invoke"}\n', b'{"type":"invoke","request":{}}\n']
        lines += [b"\xff\n", b'{"type":"invoke","request":{"request_id":\n', b"[" * 10_000 + b"\n", b'{"a":\x00\n']
        for sample in self.built(self.programs):
            with self.subTest(sample.name):
                for line in lines:
                    done = sample.run(line)
                    self.assertEqual(done.stdout.count(b"\n"), 1, line)
                    response = json.loads(done.stdout)["response"]
                    self.assertEqual((response["status"], response["request_id"]), ("rejected", ""), line)
                    self.assertIn("Invalid request", response["notes"])

    def test_the_largest_text_is_read_whole(self):
        for sample in self.built(self.hellos):
            with self.subTest(sample.name):
                limit = sample.manifest["io"]["inputs"][0]["limits"]["max_bytes"] - 200
                for word in ("word ", "слово ", '\\" '):
                    content = word * (limit // len(json.dumps(word, ensure_ascii=False)))
                    response = sample.answer(invoke_line(text_payload(content)))
                    self.assertEqual(response["result"]["data"]["original_length"], len(content))

    def test_a_request_without_its_newline_is_answered(self):
        for sample in self.built(self.samples):
            with self.subTest(sample.name):
                response = sample.answer(invoke_line(text_payload("x")).rstrip(b"\n"))
                self.assertEqual(response["status"], "ok")

    def test_the_same_request_gives_the_same_bytes(self):
        for sample in self.built(self.samples):
            with self.subTest(sample.name):
                line = invoke_line(text_payload("The same text, the same answer, and the same bytes."))
                self.assertEqual(sample.run(line).stdout, sample.run(line).stdout)

    def test_a_run_leaves_nothing_behind(self):
        for sample in self.built(self.samples):
            with self.subTest(sample.name):
                before = sorted(sample.package.rglob("*"))
                sample.answer(invoke_line(text_payload("x")))
                self.assertEqual(sorted(sample.package.rglob("*")), before)
                self.assertEqual(list(sample.empty.iterdir()), [])

    def test_the_shell_starts_no_process(self):
        shells = [sample for sample in self.hellos if sample.name == "hello-sh"]
        if not shells:
            self.skipTest("hello-sh is not built")

        def forbid_processes():
            resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
            if os.getuid() == 0:
                # The limit does not bind root.
                os.setgid(65534)
                os.setuid(65534)

        options = {"env": {}, "capture_output": True, "preexec_fn": forbid_processes, "cwd": "/"}
        forks = subprocess.run([shutil.which("sh"), "-c", "echo $(echo x)"], **options)
        self.assertNotEqual(forks.returncode, 0, "the limit must bite")
        os.chmod(shells[0].package.parent, 0o755)
        line = invoke_line(text_payload("two words"))
        done = subprocess.run(shells[0].command(), input=line, **options)
        self.assertEqual(json.loads(done.stdout)["response"]["status"], "ok", done.stderr)


if __name__ == "__main__":
    unittest.main()
