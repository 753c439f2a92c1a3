package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// plainInterval is the least time between two progress lines of a log.
const plainInterval = 10 * time.Second

// logger writes diagnostics to stderr and to the log file, and keeps a progress bar out of their way.
type logger struct {
	mu   sync.Mutex
	w    io.Writer
	file *os.File
	bar  *progressbar.ProgressBar
	ferr error
}

func (a *app) startLog() error {
	a.log = &logger{w: a.stderr}
	switch a.progress {
	case "auto", "plain", "json", "none":
	default:
		return usageError{fmt.Errorf("--progress %s: want auto, plain, json or none", a.progress)}
	}
	if a.logFile == "" {
		return nil
	}
	f, err := os.Create(a.logFile)
	if err != nil {
		return err
	}
	a.log.file = f
	return nil
}

// line prints one line; a nil logger (a failure before flags are parsed) prints to stderr.
func (l *logger) line(s string) {
	if l == nil {
		fmt.Fprintln(os.Stderr, s)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bar != nil {
		l.bar.Clear()
	}
	fmt.Fprintln(l.w, s)
	if l.file != nil {
		if _, err := fmt.Fprintln(l.file, s); err != nil && l.ferr == nil {
			l.ferr = err
		}
	}
}

func (l *logger) close() error {
	if l == nil || l.file == nil {
		return nil
	}
	if err := l.file.Close(); err != nil {
		return err
	}
	return l.ferr
}

// track returns a callback for a piece of work: a bar with ETA on a terminal, else log lines. done ends it.
func (a *app) track(stage string, bytes bool) (progress func(done, total int64), done func()) {
	switch {
	case a.progress == "none":
		return func(int64, int64) {}, func() {}
	case a.progress == "json":
		return a.trackLines(time.Second, func(d, t int64, eta float64) string { return jsonProgress(stage, d, t, eta) })
	case a.progress == "auto" && isTerminal(a.stderr):
		return a.trackBar(stage, bytes)
	}
	return a.trackLines(plainInterval, func(d, t int64, eta float64) string {
		return fmt.Sprintf("moeconv: %s: %d%% (%d of %d), %.0f s left", stage, 100*d/max(t, 1), d, t, eta)
	})
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func (a *app) trackBar(stage string, bytes bool) (func(done, total int64), func()) {
	var bar *progressbar.ProgressBar
	set := func(done, total int64) {
		a.log.mu.Lock()
		defer a.log.mu.Unlock()
		if bar == nil {
			bar = progressbar.NewOptions64(total,
				progressbar.OptionSetWriter(a.stderr), progressbar.OptionSetDescription(stage),
				progressbar.OptionShowBytes(bytes), progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true),
				progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(),
				progressbar.OptionEnableColorCodes(false), progressbar.OptionFullWidth())
			a.log.bar = bar
		}
		// A bar that cannot be drawn must not fail the work.
		_ = bar.Set64(done)
	}
	return set, func() {
		a.log.mu.Lock()
		defer a.log.mu.Unlock()
		if bar != nil {
			_ = bar.Clear()
			a.log.bar = nil
		}
	}
}

func (a *app) trackLines(every time.Duration, format func(done, total int64, eta float64) string) (func(done, total int64), func()) {
	start := time.Now()
	last := start
	var mu sync.Mutex
	return func(done, total int64) {
		mu.Lock()
		defer mu.Unlock()
		if done <= 0 || time.Since(last) < every {
			return
		}
		last = time.Now()
		a.log.line(format(done, total, time.Since(start).Seconds()*float64(total-done)/float64(done)))
	}, func() {}
}

func jsonProgress(stage string, done, total int64, eta float64) string {
	b, err := json.Marshal(struct {
		Event string  `json:"event"`
		Stage string  `json:"stage"`
		Done  int64   `json:"done"`
		Total int64   `json:"total"`
		ETA   float64 `json:"eta_s"`
	}{"progress", stage, done, total, eta})
	if err != nil {
		return ""
	}
	return string(b)
}
