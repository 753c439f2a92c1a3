package hub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// HF is the Transport by HuggingFace's own client, the command hf: it sends by Xet, in pieces that the Hub does not have.
// The client gets the token by the environment, never by arguments.
type HF struct {
	Client  *Client
	Dir     string // the files' paths in the repository are those below it
	Command string // empty: hf
}

// NoClientError says that HuggingFace's client is not installed.
type NoClientError struct{ Command string }

func (e *NoClientError) Error() string {
	return "hub: there is no command " + e.Command + " (HuggingFace's client)"
}

// Hint is advice for the user.
func (e *NoClientError) Hint() string {
	return "pip install huggingface_hub, or leave out --transport: moeconv sends by itself"
}

// Commit implements Transport.
func (h *HF) Commit(ctx context.Context, repo Repo, parent string, ch Change, progress func(int64)) (Committed, error) {
	before, err := h.Client.Open(ctx, repo)
	if err != nil {
		return Committed{}, err
	}
	if parent != "" && before.commit != parent {
		return Committed{}, &ConflictError{Repo: repo}
	}
	if before.holds(ch) {
		return Committed{OID: before.commit}, nil
	}
	var sent int64
	for _, args := range h.commands(repo, ch) {
		if err := h.run(ctx, args); err != nil {
			return Committed{}, fmt.Errorf("hub: %s: %w", repo, err)
		}
	}
	for _, a := range ch.Add {
		if !before.Has(a) {
			sent += a.Size
		}
	}
	progress(sent)
	after, err := h.Client.Open(ctx, repo)
	if err != nil {
		return Committed{}, err
	}
	if !after.holds(ch) {
		return Committed{}, fmt.Errorf("hub: %s: the client is done, and the repository is not as it should be", repo)
	}
	return Committed{OID: after.commit, Sent: sent, New: after.commit != before.commit}, nil
}

// commands are what makes a change: one for all files that lie under their own names, and one each for others.
func (h *HF) commands(repo Repo, ch Change) [][]string {
	options := []string{"--repo-type", "model", "--revision", repo.Revision, "--commit-message", ch.Message, "--quiet"}
	folder := append([]string{"upload", repo.ID(), h.Dir, "."}, options...)
	some := len(ch.Delete) > 0
	var out [][]string
	for _, a := range ch.Add {
		if filepath.Join(h.Dir, filepath.FromSlash(a.Path)) == filepath.Clean(a.File) {
			folder, some = append(folder, "--include", literal(a.Path)), true
			continue
		}
		out = append(out, append([]string{"upload", repo.ID(), a.File, a.Path}, options...))
	}
	for _, name := range ch.Delete {
		folder = append(folder, "--delete", literal(name))
	}
	if some {
		out = append([][]string{folder}, out...)
	}
	return out
}

func (h *HF) run(ctx context.Context, args []string) error {
	name := h.Command
	if name == "" {
		name = "hf"
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "HF_ENDPOINT="+h.Client.Endpoint, "HF_TOKEN="+h.Client.Token)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return &NoClientError{name}
	}
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		said := strings.ReplaceAll(oneLine(lines[len(lines)-1]), h.Dir, ".")
		if h.Client.Token != "" {
			said = strings.ReplaceAll(said, h.Client.Token, "***")
		}
		return fmt.Errorf("%s: %w: %s", name, err, said)
	}
	return nil
}

// literal is a pattern that matches one name.
func literal(name string) string {
	return strings.NewReplacer("[", "[[]", "*", "[*]", "?", "[?]").Replace(name)
}
