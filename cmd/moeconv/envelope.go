package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
)

// referenceCommit is the implementation whose bytes moeconv reproduces.
const referenceCommit = "llama.cpp 0c1e57098"

// schemaVersion counts incompatible changes of the JSON documents; within a number keys are only added.
const schemaVersion = 1

// envelope opens every JSON document.
type envelope struct {
	Schema string    `json:"schema"`
	Tool   toolInfo  `json:"tool"`
	Error  *errorDoc `json:"error,omitempty"`
}

type toolInfo struct {
	Version   string `json:"version"`
	Commit    string `json:"commit"`
	Reference string `json:"reference"`
}

type errorDoc struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

func (a *app) envelope() envelope {
	verb := a.verb
	if verb == "" {
		verb = "moeconv"
	}
	return envelope{Schema: fmt.Sprintf("moeconv/%s/%d", verb, schemaVersion), Tool: version()}
}

// stamped is the version that cmd/release builds in.
var stamped string

// version is read from the build; a plain `go build` of a checkout knows only its commit.
var version = sync.OnceValue(func() toolInfo {
	t := toolInfo{Version: "devel", Commit: "unknown", Reference: referenceCommit}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return t
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		t.Version = v
	}
	if stamped != "" {
		t.Version = stamped
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 9 {
			t.Commit = s.Value[:9]
		}
	}
	return t
})

// emit prints doc as JSON, or lets text print it for people.
func (a *app) emit(doc any, text func(w io.Writer) error) error {
	if a.json {
		return a.writeJSON(doc)
	}
	return text(a.stdout)
}

func (a *app) writeJSON(doc any) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	a.emitted = true
	return enc.Encode(doc)
}

// toolName is the program and its version, for reports.
func toolName() string {
	t := version()
	return "moeconv " + t.Version + " (" + t.Commit + ")"
}
