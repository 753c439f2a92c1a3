package main

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/moeconv/moeconv/recipes/hub/hubtest"
	"github.com/moeconv/moeconv/testdata"
)

// journalEveryEnv makes a process of the tests renew its journals after so many bytes.
const journalEveryEnv = "MOECONV_TEST_JOURNAL_EVERY"

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"moeconv": func() {
			journalEvery, _ = strconv.ParseInt(os.Getenv(journalEveryEnv), 10, 64)
			os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
		},
	})
}

// TestScripts drives the command end to end. Scripts find fixtures below $FIXTURES and $MICRO;
// status N CMD... runs a command and demands its exit status, which `! exec` cannot tell apart.
func TestScripts(t *testing.T) {
	fixtures, err := filepath.Abs(testdata.Path())
	if err != nil {
		t.Fatal(err)
	}
	micro, err := filepath.Abs(filepath.Join("..", "..", "testdata", "micro"))
	if err != nil {
		t.Fatal(err)
	}
	goldens, err := filepath.Abs(filepath.Join("testdata", "convert"))
	if err != nil {
		t.Fatal(err)
	}
	lines, err := filepath.Abs(filepath.Join("testdata", "quantize"))
	if err != nil {
		t.Fatal(err)
	}
	hub := startHub(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("FIXTURES", fixtures)
			e.Setenv("MICRO", micro)
			e.Setenv("CONVERT", goldens)
			e.Setenv("QUANTIZE", lines)
			e.Setenv("HF_ENDPOINT", hub.hub.URL)
			own := hubtest.New() // $HUB: a script's own Hub, empty; publish takes its token
			own.ChunkSize = 200_000
			e.Defer(own.Close)
			e.Setenv("HUB", own.URL())
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"status":  checkStatus,
			"sha":     checkSHA,
			"damage":  damageFile,
			"index":   writeIndex,
			"rewrite": rewriteFile,
			"tensors": checkTensors,
			"address": findAddress,
		},
	})
}
