package omegaplugin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

const invoke = `{"type":"invoke","request":{"request_id":"r \u00e91","payload":{"kind":"text","content":"<x>","encoding":"utf-8","metadata":{"k":"v"}},` +
	`"context":{"a":"b"},"policy":{"deterministic_only":true,"timeout_ms":100,"max_retries":2}}}` + "\n"

// serving names the handler that a process of this test program serves as a plugin, in place of the tests.
const serving = "OMEGAPLUGIN_TEST_HANDLER"

var handlers = map[string]Handler{
	"prints": func(Request) Answer {
		fmt.Println("aside")
		syscall.Write(1, []byte("aside too\n"))
		return Rejected("no")
	},
	"panics": func(Request) Answer { panic(errors.New("out of ink")) },
}

func TestMain(m *testing.M) {
	if handle, found := handlers[os.Getenv(serving)]; found {
		Run(handle)
		fmt.Println("after the answer")
		return
	}
	os.Exit(m.Run())
}

type written struct {
	Type     string
	Response struct {
		RequestID string `json:"request_id"`
		Status    string
		Result    map[string]any
		Notes     string
	}
}

func read(t *testing.T, line []byte) written {
	t.Helper()
	if bytes.Count(line, []byte("\n")) != 1 || !bytes.HasSuffix(line, []byte("\n")) {
		t.Fatalf("not one line: %q", line)
	}
	var got written
	if err := json.Unmarshal(line, &got); err != nil || got.Type != "result" {
		t.Fatalf("%v: %q", err, line)
	}
	return got
}

func answered(t *testing.T, line string, handle Handler, takes ...Kind) written {
	t.Helper()
	var out bytes.Buffer
	if err := serve(strings.NewReader(line), &out, handle, takes); err != nil {
		t.Fatal(err)
	}
	return read(t, out.Bytes())
}

func TestARequestIsReadAndAnswered(t *testing.T) {
	got := answered(t, invoke, func(request Request) Answer {
		if request.Context["a"] != "b" || request.Policy != (Policy{true, 100, 2}) || request.Payload.Metadata["k"] != "v" {
			t.Errorf("%+v", request)
		}
		return OK(Text(request.Payload.Content)).WithNotes("two\nlines")
	})
	want := map[string]any{"kind": "text", "content": "<x>", "encoding": "utf-8", "metadata": map[string]any{}}
	if got.Response.RequestID != "r é1" || got.Response.Status != "ok" || got.Response.Notes != "two\nlines" {
		t.Errorf("%+v", got)
	}
	if fmt.Sprint(got.Response.Result) != fmt.Sprint(want) {
		t.Errorf("%v, not %v", got.Response.Result, want)
	}
}

func TestAPayloadHasTheFieldsOfItsKindAlone(t *testing.T) {
	for want, payload := range map[string]Payload{
		`{"content":"","encoding":"utf-8","kind":"text","metadata":{}}`:               Text(""),
		`{"data":{"a":"<&>"},"kind":"json","schema_ref":"s/1"}`:                       JSON("s/1", map[string]string{"a": "<&>"}),
		`{"artifact_hash":"h","artifact_id":"a","kind":"binary_ref","mime_type":"m"}`: {Kind: KindBinaryRef, ArtifactID: "a", ArtifactHash: "h", MimeType: "m"},
		`{"filters":{},"kind":"dataset_slice","slice_ids":["1"],"source":"s"}`:        {Kind: KindDatasetSlice, SliceIDs: []string{"1"}, Source: "s"},
	} {
		line := string(answerLine("r", OK(payload)))
		if !strings.Contains(line, want) {
			t.Errorf("%s, not %s", line, want)
		}
	}
}

func TestInvalidInputIsRejected(t *testing.T) {
	request := func(rest string) string { return `{"type":"invoke","request":{"request_id":"r"` + rest + "}}\n" }
	for line, id := range map[string]string{
		"": "", "hello\n": "", "\xff\n": "", "[]\n": "", "null\n": "", "{}\n": "", strings.Repeat("[", 100000): "",
		`{"type":"invoke"}`: "", `{"type":"invoke","request":{}}`: "", `{"type":"result","request":{"request_id":"r"}}`: "",
		request(""): "r", request(`,"payload":{"kind":7}`): "r", request(`,"payload":[]`): "r",
		request(`,"payload":{"kind":"json","data":{}}`): "r",
	} {
		got := answered(t, line, func(Request) Answer { panic("called") }, KindText)
		if got.Response.Status != "rejected" || got.Response.RequestID != id || !strings.HasPrefix(got.Response.Notes, "Invalid request: ") {
			t.Errorf("%.100q: %+v", line, got.Response)
		}
	}
	got := answered(t, invoke, func(Request) Answer { return Rejected("mine") }, KindJSON, KindText)
	if got.Response.Notes != "mine" {
		t.Errorf("%+v", got.Response)
	}
}

func TestWhatGoesWrongIsAnError(t *testing.T) {
	var none map[string]int
	for want, handle := range map[string]Handler{
		"plugin panicked: out of ink":             func(Request) Answer { panic("out of ink") },
		"plugin panicked: assignment to entry in": func(Request) Answer { none["a"] = 1; return OK(Text("")) },
		"must return OK(":                         func(Request) Answer { return Answer{} },
		"ended without an answer":                 func(Request) Answer { runtime.Goexit(); return OK(Text("")) },
		"unsupported value: NaN":                  func(Request) Answer { return OK(JSON("s/1", map[string]float64{"a": math.NaN()})) },
		"no kind of payload \"html\"":             func(Request) Answer { return OK(Payload{Kind: "html"}) },
		`half of \xed\xa0\x80, and a whole 👋`:     func(Request) Answer { panic("half of \xed\xa0\x80, and a whole 👋") },
	} {
		got := answered(t, invoke, handle)
		if got.Response.Status != "error" || !strings.Contains(got.Response.Notes, want) || got.Response.Result != nil {
			t.Errorf("%q: %+v", want, got.Response)
		}
	}
}

// As a process of its own: there is one line on stdout, and what was printed is on stderr.
func TestWhateverIsPrintedGoesToStderr(t *testing.T) {
	for handler, said := range map[string]string{"prints": "aside too", "panics": "goroutine"} {
		plugin := exec.Command(os.Args[0])
		plugin.Env = []string{serving + "=" + handler}
		plugin.Stdin = strings.NewReader(invoke)
		var out, printed bytes.Buffer
		plugin.Stdout, plugin.Stderr = &out, &printed
		if err := plugin.Run(); err != nil {
			t.Fatal(err, printed.String())
		}
		read(t, out.Bytes())
		if !strings.Contains(printed.String(), said) || !strings.Contains(printed.String(), "after the answer") {
			t.Errorf("%s: %s", handler, printed.String())
		}
	}
}
