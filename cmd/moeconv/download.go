package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/moeconv/moeconv/recipes/hub"
)

type downloadDoc struct {
	envelope
	Repo   string         `json:"repository"`
	Commit string         `json:"commit"`
	Dir    string         `json:"directory"`
	Bytes  int64          `json:"total_bytes"`
	Sent   int64          `json:"fetched_bytes"` // by this run
	Files  []downloadFile `json:"files"`
}

type downloadFile struct {
	Path   string `json:"path"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256,omitempty"` // of files in LFS, against which what arrived was held
}

func downloadCmd(a *app) *cobra.Command {
	var o hub.Fetch
	cmd := &cobra.Command{
		Use:   "download OWNER/NAME[@REV]",
		Short: "Download a checkpoint from the HuggingFace Hub, or any files of a repository",
		Long: `download fetches what a conversion reads: config, tokenizer, chat templates, licence and
card, and those .safetensors files that the index names. --include fetches the files that
match instead, --exclude leaves files out; patterns are those of hf download.

Files go into the cache of HuggingFace's tools, which share them, or with --out into a
directory. Large files arrive in eight ranges at once; an interrupted download goes on
where it was. Every file is held against its SHA-256, or git's SHA-1 of those outside of
LFS. The directory is printed on stdout.

The environment is that of HuggingFace's tools: HF_ENDPOINT, HF_TOKEN, HF_TOKEN_PATH (or
the file that hf auth login writes), HF_HOME, HF_HUB_CACHE, HTTPS_PROXY; with
HF_HUB_OFFLINE=1 the cached snapshot is used, if it is complete.`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			repo, ok := hub.ParseRepo(args[0])
			if !ok {
				return usageError{fmt.Errorf("%s is not OWNER/NAME or OWNER/NAME@REV", args[0])}
			}
			return a.download(cmd, repo, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Out, "out", "", "`DIR` for the files, under their own names (default: the cache)")
	f.StringVar(&o.Out, "local-dir", "", "the same, as hf download names it")
	f.StringArrayVar(&o.Include, "include", nil, "`PATTERN` of the files to fetch; may be repeated")
	f.StringArrayVar(&o.Exclude, "exclude", nil, "`PATTERN` of files to leave out; may be repeated")
	return cmd
}

func (a *app) download(cmd *cobra.Command, repo hub.Repo, o hub.Fetch) error {
	c, err := a.hub()
	if err != nil {
		return err
	}
	progress, done := a.track("download "+repo.ID(), true)
	defer done()
	o.Progress = progress
	got, err := c.Download(cmd.Context(), repo, o)
	if err != nil {
		if cmd.Context().Err() != nil {
			err = withHint(err, "the same command goes on where this one was")
		}
		return err
	}
	done()
	doc := downloadDoc{a.envelope(), repo.ID(), got.Commit, got.Dir, got.Bytes, got.Sent, nil}
	for _, f := range got.Files {
		doc.Files = append(doc.Files, downloadFile{f.Path, f.Size, f.SHA256})
	}
	if !a.json {
		a.diag("%s@%s: %d files, %s, %s fetched by this run", repo.ID(), got.Commit, len(got.Files), formatBytes(got.Bytes), formatBytes(got.Sent))
	}
	return a.emit(doc, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, got.Dir)
		return err
	})
}

// hub is the Hub of the environment.
func (a *app) hub() (*hub.Client, error) {
	c, err := hub.New(os.Getenv)
	if c != nil {
		c.Note = func(line string) { a.diag("%s", line) }
	}
	return c, errors.Join(err)
}
