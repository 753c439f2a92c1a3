package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/moeconv/moeconv/gguf"
)

type setFlags struct {
	kv, kvFiles, remove []string
	template            string
	output              string
	force, dry          bool
}

func (s *setFlags) register(f *pflag.FlagSet) {
	f.StringArrayVar(&s.kv, "kv", nil, "`KEY=TYPE:VALUE` to add or replace, repeatable; KEY[N] is element N of an array")
	f.StringArrayVar(&s.kvFiles, "kv-file", nil, "`KEY=TYPE:FILE`: the same, the value being what FILE holds")
	f.StringVar(&s.template, "chat-template", "", "`FILE` that becomes tokenizer.chat_template")
	f.StringArrayVar(&s.remove, "remove", nil, "`KEY` to remove, repeatable")
	f.StringVarP(&s.output, "output", "o", "", "write this `FILE` and leave the input alone")
	f.BoolVar(&s.force, "force", false, "replace an existing output; edit what is protected; write what no longer passes inspect --check")
	f.BoolVar(&s.dry, "dry-run", false, "say what would change; write nothing")
}

type setDoc struct {
	envelope
	DryRun bool        `json:"dry_run,omitempty"`
	Files  []editedDoc `json:"files"`
}

type editedDoc struct {
	Input   string      `json:"input"` // the file that holds the metadata
	Changes []changeDoc `json:"changes"`
	Tensors int         `json:"tensors_verified"` // read back and equal; 0 where nothing was written
	*writtenFile
}

func setCmd(a *app) *cobra.Command {
	var flags setFlags
	cmd := &cobra.Command{
		Use:   "set FILE... --kv KEY=TYPE:VALUE",
		Short: "Edit metadata of finished files; tensor bytes stay, provably",
		Long: `set adds, replaces and removes metadata of GGUF files of any architecture. Each FILE
is written anew beside itself, its tensors are read back and compared by SHA-256, and
only then does it take the old one's place; with -o it goes elsewhere. Of a set of shards
only the first is written, for it holds the metadata; the others need not be there.

TYPE is u8 u16 u32 u64 i8 i16 i32 i64 f32 f64 bool str, or arr[TYPE] with VALUE a JSON
array. A new key goes to the end; a replaced one keeps its place. What would change
nothing writes nothing. All FILEs are checked before the first is written.

Refused without --force: another type than the key has, general.architecture,
general.alignment, the experts' marks (tag sets them), and an edit after which a file
no longer passes the checks of inspect --check that it passed before. split.* keys
are never edited: split and merge write them.

  moeconv set out/*.gguf --chat-template fixed.jinja
  moeconv set x.gguf --kv tokenizer.ggml.eot_token_id=u32:151645 --remove general.url
  moeconv set x.gguf --kv 'tokenizer.ggml.token_type[128009]=i32:3'`,
		Args: usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			edits, err := flags.edits()
			if err != nil {
				return err
			}
			if flags.output != "" && len(args) > 1 {
				return usageError{errors.New("-o goes with one FILE")}
			}
			jobs, err := a.planEdits(cmd.Context(), args, edits, flags)
			defer closeAll(jobs)
			if err != nil {
				return err
			}
			return a.set(cmd, jobs, flags)
		},
	}
	flags.register(cmd.Flags())
	return cmd
}

// edits reads the flags: removals first, then values in the order given, the template last.
func (s *setFlags) edits() ([]edit, error) {
	var out []edit
	for _, k := range s.remove {
		out = append(out, edit{key: k, element: -1})
	}
	for i, kv := range append(append([]string(nil), s.kv...), s.kvFiles...) {
		e, err := parseEdit(kv, i >= len(s.kv))
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	if s.template != "" {
		text, err := readValue(s.template)
		if err != nil {
			return nil, err
		}
		v, err := gguf.ParseValue("str", strings.ReplaceAll(text, "\r\n", "\n"))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.template, err)
		}
		out = append(out, edit{key: keyTemplate, value: v, element: -1})
	}
	if len(out) == 0 {
		return nil, usageError{errors.New("set needs --kv, --kv-file, --chat-template or --remove")}
	}
	return out, checkKeys(out, s.force)
}

// maxValue bounds a value read from a file: no header may be larger.
const maxValue = 1 << 28

func readValue(name string) (string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	if info.Size() > maxValue {
		return "", fmt.Errorf("%s: %d bytes are too many for a value", name, info.Size())
	}
	b, err := os.ReadFile(name)
	return string(b), err
}

// editJob is what becomes of one file.
type editJob struct {
	*header
	out     string
	md      *gguf.Metadata
	changes []changeDoc
}

func closeAll(jobs []*editJob) {
	for _, j := range jobs {
		j.Close()
	}
}

// planEdits decides all edits before anything is written. Shards of one set are one job. What it opened is
// returned even with an error.
func (a *app) planEdits(ctx context.Context, names []string, edits []edit, flags setFlags) ([]*editJob, error) {
	var jobs []*editJob
	seen := map[string]bool{}
	for _, name := range names {
		h, err := openHeader(name)
		if err != nil {
			return jobs, err
		}
		if seen[h.path] {
			h.Close()
			continue
		}
		seen[h.path] = true
		j := &editJob{header: h}
		jobs = append(jobs, j)
		a.meet(h.Metadata())
		if j.out, err = h.output(flags.output, flags.force); err != nil {
			return jobs, err
		}
		if j.md, j.changes, err = applyEdits(h.Metadata(), edits, flags.force); err != nil {
			return jobs, fmt.Errorf("%s: %w", h.path, err)
		}
		if err := a.holds(ctx, j, flags.force); err != nil {
			return jobs, err
		}
	}
	return jobs, nil
}

func (a *app) set(cmd *cobra.Command, jobs []*editJob, flags setFlags) error {
	doc := setDoc{envelope: a.envelope(), DryRun: flags.dry}
	for i, j := range jobs {
		d := editedDoc{Input: j.path, Changes: j.changes}
		if !flags.dry && (len(j.changes) > 0 || j.out != j.path) {
			w, err := a.rewrite(cmd, j.header, j.md, j.out, flags.force)
			if err != nil {
				if i > 0 {
					err = fmt.Errorf("%w (%d of %d files are edited already)", err, i, len(jobs))
				}
				return err
			}
			d.writtenFile, d.Tensors = &w, len(j.Tensors())
		}
		doc.Files = append(doc.Files, d)
	}
	return a.emit(doc, doc.print)
}

func (d *setDoc) print(w io.Writer) error {
	var b strings.Builder
	for _, f := range d.Files {
		switch {
		case f.writtenFile != nil && f.Tensors == 0:
			fmt.Fprintf(&b, "%s  %s  %s; no tensors in it, other shards are not touched\n", f.SHA256, f.Path, formatBytes(f.Bytes))
		case f.writtenFile != nil:
			fmt.Fprintf(&b, "%s  %s  %s; %d tensors read back, unchanged\n", f.SHA256, f.Path, formatBytes(f.Bytes), f.Tensors)
		case len(f.Changes) == 0:
			fmt.Fprintf(&b, "%s: nothing to change\n", f.Input)
		default:
			fmt.Fprintf(&b, "%s: would change\n", f.Input)
		}
		for _, c := range f.Changes {
			fmt.Fprintf(&b, "  %-7s %s: %s\n", c.Op, c.Key, c.text())
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// holds refuses edits that break what inspect --check found sound before them. A set that is not all here
// cannot be asked.
func (a *app) holds(ctx context.Context, j *editJob, force bool) error {
	if len(j.changes) == 0 || force {
		return nil
	}
	whole, err := gguf.Open(j.path)
	if errors.Is(err, fs.ErrNotExist) {
		a.diag("note: %s: the other shards are not here, so the edit was not held against them", j.path)
		return nil
	}
	if err != nil {
		return err
	}
	defer whole.Close()
	before, after := headerChecks(ctx, whole), headerChecks(ctx, gguf.WithMetadata(whole, j.md))
	for i, r := range after {
		if failed(r) && !failed(before[i]) {
			return withHint(checkError{fmt.Sprintf("%s: edited so, the file would fail %s: %s", j.path, r.Name, r.Detail)}, "--force writes it all the same")
		}
	}
	return nil
}
