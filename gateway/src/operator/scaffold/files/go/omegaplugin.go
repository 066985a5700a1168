// Package omegaplugin reads one request from stdin, lets a function answer it, and writes one answer to stdout.
package omegaplugin

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// Request is what the host asks.
type Request struct {
	RequestID string            `json:"request_id"`
	RunID     string            `json:"run_id"`
	Timestamp string            `json:"timestamp"`
	Payload   Payload           `json:"payload"`
	Context   map[string]string `json:"context"`
}

// Payload is what goes in or comes out; which fields are set is told by Kind.
type Payload struct {
	Kind string `json:"kind"`
	// text
	Content  string            `json:"content,omitempty"`
	Encoding string            `json:"encoding,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
	// json
	SchemaRef string          `json:"schema_ref,omitempty"`
	Data      json.RawMessage `json:"data,omitempty"`
	// binary_ref
	ArtifactID   string `json:"artifact_id,omitempty"`
	ArtifactHash string `json:"artifact_hash,omitempty"`
	MimeType     string `json:"mime_type,omitempty"`
	// dataset_slice
	SliceIDs []string          `json:"slice_ids,omitempty"`
	Source   string            `json:"source,omitempty"`
	Filters  map[string]string `json:"filters,omitempty"`
}

// Answer is what the host gets. Make it with OK, Rejected or Error.
type Answer struct {
	RequestID string `json:"request_id"`
	Status    string `json:"status"`
	Result    any    `json:"result"`
	Notes     string `json:"notes"`
}

// OK is the answer with a result, which JSON or Text makes.
func OK(result any) Answer { return Answer{Status: "ok", Result: result} }

// Rejected is the answer to a request that this plugin will not take, with the reason in words.
func Rejected(notes string) Answer { return Answer{Status: "rejected", Notes: notes} }

// Error is the answer to a request that this plugin failed on, with the reason in words.
func Error(notes string) Answer { return Answer{Status: "error", Notes: notes} }

// JSON is a result of kind json. Its data is whatever encoding/json makes an object of.
func JSON(schemaRef string, data any) any {
	return map[string]any{"kind": "json", "schema_ref": schemaRef, "data": data}
}

// Text is a result of kind text.
func Text(content string) any {
	return map[string]any{"kind": "text", "content": content, "encoding": "utf-8", "metadata": map[string]string{}}
}

// Run answers the one request of this process and ends it. A panic in handle is the answer Error.
func Run(handle func(request Request) Answer) {
	stdout := os.Stdout
	// What is printed is for people: a second line on stdout would be refused.
	os.Stdout = os.Stderr
	line, err := bufio.NewReader(os.Stdin).ReadBytes('\n')
	if err != nil && err != io.EOF {
		fail(err)
	}
	var message struct {
		Type    string  `json:"type"`
		Request Request `json:"request"`
	}
	if err := json.Unmarshal(line, &message); err != nil {
		fail(err)
	}
	if message.Type != "invoke" || message.Request.RequestID == "" {
		fail(fmt.Errorf("the line is no invoke message with a request_id"))
	}
	text, err := encode(message.Request, guarded(handle, message.Request))
	if err != nil {
		text, err = encode(message.Request, Error(err.Error()))
	}
	if err == nil {
		_, err = stdout.Write(text)
	}
	if err != nil {
		fail(err)
	}
}

func guarded(handle func(Request) Answer, request Request) (answer Answer) {
	defer func() {
		if panicked := recover(); panicked != nil {
			answer = Error(fmt.Sprint("plugin panicked: ", panicked))
		}
	}()
	return handle(request)
}

func encode(request Request, answer Answer) ([]byte, error) {
	answer.RequestID = request.RequestID
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	// Encode ends with a newline.
	err := encoder.Encode(map[string]any{"type": "result", "response": answer})
	return text.Bytes(), err
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "no request that can be answered:", err)
	os.Exit(1)
}
