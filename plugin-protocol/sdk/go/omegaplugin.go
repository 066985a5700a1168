// Package omegaplugin is the Go plugin SDK: it reads one request, lets a handler answer it and writes one answer.
//
//	package main
//
//	import (
//		"strings"
//
//		"omega/omegaplugin"
//	)
//
//	func handle(request omegaplugin.Request) omegaplugin.Answer {
//		loud := strings.ToUpper(request.Payload.Content)
//		return omegaplugin.OK(omegaplugin.JSON("shout/1", map[string]string{"loud": loud}))
//	}
//
//	func main() { omegaplugin.Run(handle, omegaplugin.KindText) }
//
// It opens no file, reads no environment variable and starts nothing. Build with CGO_ENABLED=0: a static program needs no
// file of the system, so the sandbox shows it none.
package omegaplugin

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"unicode/utf8"
)

// Kind is the kind of a payload.
type Kind string

// The kinds of payload (contract, section 3).
const (
	KindText         Kind = "text"
	KindJSON         Kind = "json"
	KindBinaryRef    Kind = "binary_ref"
	KindDatasetSlice Kind = "dataset_slice"
)

// Request is a host's request.
type Request struct {
	RequestID string            `json:"request_id"`
	RunID     string            `json:"run_id"`
	Timestamp string            `json:"timestamp"`
	Payload   Payload           `json:"payload"`
	Context   map[string]string `json:"context"`
	Policy    Policy            `json:"policy"`
}

// Policy is how a request is to be run.
type Policy struct {
	DeterministicOnly bool  `json:"deterministic_only"`
	TimeoutMS         int64 `json:"timeout_ms"`
	MaxRetries        int   `json:"max_retries"`
}

// Payload is what goes in or comes out. Kind says which fields count; the others are empty and are not written.
type Payload struct {
	Kind Kind `json:"kind"`

	// KindText. The encoding is always UTF-8.
	Content  string            `json:"content"`
	Metadata map[string]string `json:"metadata"`

	// KindJSON. Data is the object as it was written: give it to json.Unmarshal.
	Data      json.RawMessage `json:"data"`
	SchemaRef string          `json:"schema_ref"`

	// KindBinaryRef.
	ArtifactID   string `json:"artifact_id"`
	ArtifactHash string `json:"artifact_hash"`
	MimeType     string `json:"mime_type"`

	// KindDatasetSlice.
	SliceIDs []string          `json:"slice_ids"`
	Source   string            `json:"source"`
	Filters  map[string]string `json:"filters"`

	// What could not be written as JSON; such a payload makes the answer an error.
	failure error
}

// Answer is what OK, Rejected and Failed make.
type Answer struct {
	status string
	result *Payload
	notes  string
}

// Handler answers one request.
type Handler func(Request) Answer

// OK is the answer with a result; make the payload with Text or JSON.
func OK(result Payload) Answer { return Answer{status: "ok", result: &result} }

// Rejected is the answer for a request that this plugin will not take, with the reason in words; it is not asked again.
func Rejected(notes string) Answer { return Answer{status: "rejected", notes: notes} }

// Failed is the answer for a request that this plugin failed on, with the reason in words; it may be asked again.
func Failed(notes string) Answer { return Answer{status: "error", notes: notes} }

// WithNotes adds words for people.
func (answer Answer) WithNotes(notes string) Answer {
	answer.notes = notes
	return answer
}

// Text is a payload of kind text without metadata.
func Text(content string) Payload { return Payload{Kind: KindText, Content: content} }

// JSON is a payload of kind json: data becomes an object that follows the schema named schemaRef.
func JSON(schemaRef string, data any) Payload {
	written, err := encode(data)
	return Payload{Kind: KindJSON, SchemaRef: schemaRef, Data: written, failure: err}
}

// Run reads the request, calls handle and writes its answer: the whole body of a plugin's main.
//
// takes names the kinds of payload that handle is for; a request with another, and what is no request at all, is answered
// "rejected". A panic in handle is answered "error" with its message, and its trace goes to stderr. From now on stdout is
// stderr for everything else, so that a stray print is no second line, which the gateway would refuse. What is lost is a
// panic in another goroutine, os.Exit and log.Fatal: the gateway calls an end without an answer "error".
func Run(handle Handler, takes ...Kind) {
	answers, err := keepStdout()
	if err == nil {
		err = serve(os.Stdin, answers, handle, takes)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// noRequest says why what came in cannot be answered; the id is "" where even that could not be read.
type noRequest struct {
	reason    string
	requestID string
}

func (no *noRequest) Error() string { return no.reason }

func serve(input io.Reader, output io.Writer, handle Handler, takes []Kind) error {
	// The gateway bounds the line by the manifest's max_bytes, and the sandbox the memory.
	line, err := bufio.NewReader(input).ReadBytes('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("cannot read the request from standard input: %w", err)
	}
	requestID, answer := reply(line, handle, takes)
	if _, err = output.Write(answerLine(requestID, answer)); err != nil {
		return fmt.Errorf("cannot write the answer to standard output: %w", err)
	}
	return nil
}

func reply(line []byte, handle Handler, takes []Kind) (string, Answer) {
	request, no := readRequest(line, takes)
	if no != nil {
		return no.requestID, Rejected("Invalid request: " + no.reason)
	}
	return request.RequestID, call(handle, request)
}

func readRequest(line []byte, takes []Kind) (Request, *noRequest) {
	var message struct {
		Type    string          `json:"type"`
		Request json.RawMessage `json:"request"`
	}
	if err := json.Unmarshal(line, &message); err != nil {
		return Request{}, &noRequest{reason: "the line is not JSON of an invoke message: " + err.Error()}
	}
	// The id alone, so that a request that is wrong elsewhere is still answered under its name.
	var named struct {
		RequestID *string `json:"request_id"`
	}
	if message.Type != "invoke" || json.Unmarshal(message.Request, &named) != nil || named.RequestID == nil {
		return Request{}, &noRequest{reason: "the line is not an invoke message with a request_id"}
	}
	no := func(reason string) (Request, *noRequest) { return Request{}, &noRequest{reason, *named.RequestID} }
	var request Request
	if err := json.Unmarshal(message.Request, &request); err != nil {
		return no(err.Error())
	}
	if request.Payload.Kind == "" {
		return no("the request has no payload with a kind")
	}
	for _, kind := range takes {
		if request.Payload.Kind == kind {
			return request, nil
		}
	}
	if len(takes) > 0 {
		return no(fmt.Sprintf("this plugin takes %s, and not %s", join(takes), request.Payload.Kind))
	}
	return request, nil
}

func join(kinds []Kind) string {
	words := make([]string, len(kinds))
	for i, kind := range kinds {
		words[i] = string(kind)
	}
	return strings.Join(words, " or ")
}

// call lets handle answer. It runs in a goroutine of its own, so that runtime.Goexit ends no more than that.
func call(handle Handler, request Request) Answer {
	answers := make(chan Answer, 1)
	go func() {
		answer := Failed("the handler ended without an answer")
		defer func() {
			if panicked := recover(); panicked != nil {
				fmt.Fprintf(os.Stderr, "panic: %v\n%s", panicked, debug.Stack())
				answer = Failed(fmt.Sprintf("plugin panicked: %v", panicked))
			}
			answers <- answer
		}()
		answer = handle(request)
	}()
	return <-answers
}

type response struct {
	RequestID string   `json:"request_id"`
	Status    string   `json:"status"`
	Result    *Payload `json:"result"`
	Notes     string   `json:"notes"`
}

type message struct {
	Type     string   `json:"type"`
	Response response `json:"response"`
}

func answerLine(requestID string, answer Answer) []byte {
	if answer.status == "" {
		answer = Failed("the handler must return OK(...), Rejected(...) or Failed(...)")
	}
	line, err := encode(message{"result", response{requestID, answer.status, answer.result, writtenOut(answer.notes)}})
	if err != nil {
		return answerLine(requestID, Failed("cannot write the result as JSON: "+err.Error()))
	}
	return append(line, '\n')
}

// MarshalJSON writes the fields that belong to the payload's kind, and no other: the contract allows none.
func (payload Payload) MarshalJSON() ([]byte, error) {
	if payload.failure != nil {
		return nil, payload.failure
	}
	fields := map[string]any{"kind": payload.Kind}
	switch payload.Kind {
	case KindText:
		fields["content"], fields["encoding"], fields["metadata"] = payload.Content, "utf-8", filled(payload.Metadata)
	case KindJSON:
		fields["data"], fields["schema_ref"] = payload.Data, payload.SchemaRef
	case KindBinaryRef:
		fields["artifact_id"], fields["artifact_hash"] = payload.ArtifactID, payload.ArtifactHash
		fields["mime_type"] = payload.MimeType
	case KindDatasetSlice:
		fields["slice_ids"], fields["source"], fields["filters"] = payload.SliceIDs, payload.Source, filled(payload.Filters)
	default:
		return nil, fmt.Errorf("there is no kind of payload %q", string(payload.Kind))
	}
	return encode(fields)
}

// A map that is there: nil would be null.
func filled(words map[string]string) map[string]string {
	if words == nil {
		return map[string]string{}
	}
	return words
}

// encode writes JSON on one line, with < > & as they are.
func encode(value any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// writtenOut is the text with bytes that are no UTF-8 (half of a surrogate pair, too) as \xNN, which JSON can hold.
func writtenOut(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	var out strings.Builder
	for len(text) > 0 {
		char, size := utf8.DecodeRuneInString(text)
		if char == utf8.RuneError && size == 1 {
			fmt.Fprintf(&out, `\x%02x`, text[0])
		} else {
			out.WriteString(text[:size])
		}
		text = text[size:]
	}
	return out.String()
}
