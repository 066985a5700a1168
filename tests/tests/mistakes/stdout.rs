//! Mistakes with standard output: what is no answer, and what is not the one answer line.

use super::Row;

#[test]
fn inv_pnp_10_mistakes_with_stdout_are_told_with_their_cure() {
    super::told(rows());
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = beside_the_answer();
    rows.extend(no_answer());
    rows.extend(no_json());
    rows.extend(malformed());
    rows
}

fn beside_the_answer() -> Vec<Row> {
    vec![
        Row::python(
            "a print before the answer",
            "print('Loading model')\nprint(json.dumps(answer))",
            "it began with \"Loading model",
            "send prints and logs to stderr",
        ),
        Row::python(
            "a print after the answer",
            "print(json.dumps(answer))\nprint('done')",
            "after the answer came \"done",
            "send prints and logs to stderr",
        ),
        Row::python(
            "an answer twice",
            "print(json.dumps(answer))\nprint(json.dumps(answer))",
            "it answered more than once",
            "end after the first answer",
        ),
        Row::python(
            "an answer over several lines",
            "print(json.dumps(answer, indent=2))",
            "the answer stands on several lines",
            "json.dumps without `indent`",
        ),
        Row::node(
            "an answer over several lines from Node",
            "console.log(JSON.stringify(answer, null, 2));",
            "the answer stands on several lines",
            "JSON.stringify without its third argument",
        ),
        Row::node(
            "console.log for debugging",
            "console.log('request', request.request_id);\nconsole.log(JSON.stringify(answer));",
            "it began with \"request",
            "send prints and logs to stderr",
        ),
        Row::script(
            "a shell's echo",
            ("sh", "main.sh"),
            "read -r line\necho hello\n",
            "stdout began with \"hello",
            "the one answer line",
        ),
    ]
}

fn no_answer() -> Vec<Row> {
    vec![
        Row::python(
            "an answer that is still in a buffer",
            "sys.stdout.write(json.dumps(answer) + '\\n')\nos._exit(0)",
            "gave no answer",
            "output that is not flushed",
        ),
        Row::python(
            "an early return",
            "sys.exit(0)",
            "gave no answer",
            "a return before the answer is written",
        ),
        Row::python(
            "an answer on stderr",
            "print(json.dumps(answer), file=sys.stderr)",
            "the answer went to stderr",
            "write it to stdout",
        ),
        Row::script(
            "a handler that is never called",
            ("python3", "main.py"),
            "def handle(request):\n    return {}\n",
            "gave no answer",
            "a handler that nothing calls",
        ),
        Row::script(
            "the payload at the wrong place",
            ("python3", "main.py"),
            "import json, sys\nprint(json.loads(sys.stdin.readline())['payload']['content'])\n",
            "the line on stdin has no member 'payload' there",
            "`request`",
        ),
        Row::script(
            "the request in the arguments",
            ("python3", "main.py"),
            "import sys\ntext = sys.argv[1]\n",
            "there is no such argument",
            "one line on stdin",
        ),
        Row::python(
            "a second read of stdin",
            "input()",
            "stdin holds one line",
            "read it once",
        ),
    ]
}

fn no_json() -> Vec<Row> {
    vec![
        Row::python(
            "Python's own notation",
            "print(answer)",
            "it is Python's notation and no JSON",
            "json.dumps",
        ),
        Row::python(
            "bytes printed",
            "print(json.dumps(answer).encode())",
            "it is Python's notation of bytes",
            "`sys.stdout.buffer.write`",
        ),
        Row::node(
            "an object printed by Node",
            "console.log(answer);",
            "Node's notation and no JSON",
            "JSON.stringify",
        ),
        Row::node(
            "an object as a string",
            "console.log('' + answer);",
            "[object Object]",
            "JSON.stringify",
        ),
        Row::python(
            "a byte order mark",
            "sys.stdout.buffer.write(b'\\xef\\xbb\\xbf' + json.dumps(answer).encode())",
            "byte order mark",
            "without",
        ),
        Row::python(
            "Latin-1",
            "answer['response']['notes'] = 'caf\\u00e9'\nsys.stdout.buffer.write(json.dumps(answer, ensure_ascii=False).encode('latin-1'))",
            "JSON is not UTF-8",
            "encode",
        ),
        Row::python(
            "NaN",
            "result['data']['mean'] = float('nan')\nprint(json.dumps(answer))",
            "NaN",
            "as null or as a string",
        ),
        Row::python(
            "an integer that no double holds",
            "result['data']['id'] = 2**60\nprint(json.dumps(answer))",
            "1152921504606846976",
            "send it as a string",
        ),
        Row::script(
            "JSON by hand",
            ("sh", "main.sh"),
            "read -r line\nprintf '{\"type\":\"result\",\"response\":{\"notes\":\"a \"quoted\" word\"}}\\n'\n",
            "not valid JSON",
            "let a JSON library write it",
        ),
    ]
}

fn malformed() -> Vec<Row> {
    vec![
        Row::python(
            "another request's id",
            "answer['response']['request_id'] = '1'\nprint(json.dumps(answer))",
            "its request_id is '1'",
            "copy it from the request",
        ),
        Row::python(
            "a result without its frame",
            "print(json.dumps(result))",
            "the answer is malformed",
            "add 'response'",
        ),
        Row::python(
            "a status of one's own",
            "answer['response']['status'] = 'success'\nprint(json.dumps(answer))",
            "\"success\"",
            "ok, rejected or error",
        ),
        Row::python(
            "ok without a result",
            "answer['response']['result'] = None\nprint(json.dumps(answer))",
            "ok without a result",
            "give a payload",
        ),
        Row::python(
            "data that is a list",
            "result['data'] = [1, 2]\nprint(json.dumps(answer))",
            "an array of 2",
            "object",
        ),
        Row::python(
            "a result without schema_ref",
            "del result['schema_ref']\nprint(json.dumps(answer))",
            "schema_ref",
            "add 'schema_ref'",
        ),
        Row::python(
            "a schema_ref that is not declared",
            "result['schema_ref'] = 'other/1'\nprint(json.dumps(answer))",
            "other/1",
            "io.outputs",
        ),
        Row::python(
            "another kind than declared",
            "answer['response']['result'] = {'kind': 'text', 'content': 'x', 'encoding': 'utf-8', 'metadata': {}}\nprint(json.dumps(answer))",
            "'text'",
            "io.outputs",
        ),
        Row::python(
            "a member too many",
            "result['confidence'] = 1\nprint(json.dumps(answer))",
            "unknown field 'confidence'",
            "remove it",
        ),
        Row::python(
            "notes that are no text",
            "answer['response']['notes'] = None\nprint(json.dumps(answer))",
            "notes",
            "string",
        ),
        Row::python(
            "an answer that is too large",
            "result['data']['x'] = 'x' * 200000\nprint(json.dumps(answer))",
            "limits.max_bytes",
            "raise limits.max_bytes",
        ),
        Row::python(
            "a result that is larger than its port",
            "result['data']['x'] = 'x' * 80000\nprint(json.dumps(answer))",
            "65536",
            "max_bytes",
        ),
    ]
}
