package recipes

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/moeconv/moeconv/verify"
	"github.com/moeconv/moeconv/verify/evidence"
)

// logName is the file of a bundle that has what the runs said, those that found nothing to do left out.
const logName = "log.txt"

// maxLog bounds it in bytes; of a longer one the beginning is dropped.
const maxLog = 1 << 20

// runLog keeps what a run says, and tells its observer.
type runLog struct {
	Observer
	started time.Time
	mu      sync.Mutex
	lines   []string // that are in no bundle yet
	begun   bool     // the run's headline is in a bundle
}

// Note is a line for people.
func (l *runLog) Note(line string) {
	l.line("note     " + line)
	l.Observer.Note(line)
}

// line is for the log alone.
func (l *runLog) line(line string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf("%9.3f s  %s", time.Since(l.started).Seconds(), line))
}

// take is what has been said since the last call, under a headline of the run, without what names this machine.
func (l *runLog) take(headline string, private []string) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b bytes.Buffer
	if !l.begun {
		fmt.Fprintf(&b, "%s  %s\n", l.started.UTC().Format(time.RFC3339), headline)
		l.begun = true
	}
	for _, line := range l.lines {
		if line = verify.WithoutPaths(line, private); len(evidence.Private(line)) > 0 {
			at, _, _ := strings.Cut(line, " s  ")
			line = at + " s  (a line that names this machine is left out)"
		}
		b.WriteString(line + "\n")
	}
	l.lines = nil
	return b.Bytes()
}

// appendLog is an earlier bundle's log with more behind it.
func appendLog(file string, more []byte) ([]byte, error) {
	old, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	all := append(old, more...)
	if cut := len(all) - maxLog; cut > 0 {
		all = all[cut:]
		all = all[bytes.IndexByte(all, '\n')+1:]
	}
	return all, nil
}
