package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moeconv/moeconv/recipes"
	"github.com/moeconv/moeconv/recipes/hub"
)

type publishDoc struct {
	envelope
	*recipes.Publication
}

// publishFlags are what the recipe's keys may say, too.
type publishFlags struct {
	repo, dir, transport, onFailure string
	private                         bool
}

// publishPatience is how long the Hub may ask to wait: it limits commits by the hour.
const publishPatience = time.Hour

func publishCmd(a *app) *cobra.Command {
	var (
		o     recipes.Publishing
		flags publishFlags
	)
	cmd := &cobra.Command{
		Use:   "publish DIR or RECIPE",
		Short: "Publish verified files and their card on the HuggingFace Hub",
		Long: `publish carries the models of a folder to a repository, and README.md, their card. A model
goes if a report in the folder (of hf2gguf, or NAME.json of moeconv verify --json) says
that a file of its SHA-256 passed; others are named and stay behind, with exit status 3.
LICENSE files, importance matrices and files that the card links to go along; all else
stays. Before anything is sent, the card's licence is held against that of the models'
source, its links against the repository as it will be, and each name against the ways in
which llama-server -hf OWNER/NAME:TAG and the Hub find a type.

Each type is one commit, the card is the last; what another client committed meanwhile is
not overwritten. Give the command again after a crash or a network failure: parts that
have arrived are not sent again, and of files that the Hub has nothing is sent. At the end
names, sizes and hashes at the Hub are compared, headers and samples are read back, small
files whole.

With a RECIPE its keys publish.repo, visibility and on_failure count, and --dir is the
folder. The token comes from HF_TOKEN or the file that hf auth login writes.`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.publishTarget(args[0], flags, &o); err != nil {
				return err
			}
			return a.publish(cmd, o, flags.transport)
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.repo, "repo", "", "`OWNER/NAME` to publish to; it is created if there is none")
	f.StringVar(&flags.dir, "dir", "", "the `DIR` of a recipe's files (default: the current one)")
	f.BoolVar(&flags.private, "private", false, "create a private repository")
	f.StringVar(&flags.onFailure, "on-failure", "hold-file", "what a model that may not go holds back: hold-file, itself; hold-release, all")
	f.StringVar(&flags.transport, "transport", "lfs", "how files are sent: lfs, or hf to let HuggingFace's client do it")
	f.BoolVar(&o.DryRun, "dry-run", false, "check everything and print the plan; send nothing")
	f.BoolVar(&o.Clean, "clean", false, "delete the repository's other files of the same types, such as old shards")
	f.BoolVar(&o.Full, "full", false, "read every byte back at the end, not only of small files")
	f.StringArrayVar(&o.Also, "also", nil, "`PATH` below DIR of a further file that goes; may be repeated")
	return cmd
}

// target finds folder and repository.
func (a *app) publishTarget(arg string, flags publishFlags, o *recipes.Publishing) error {
	o.Dir, o.Private = arg, flags.private
	where := flags.repo
	if info, err := os.Stat(arg); err != nil || !info.IsDir() {
		r, loadErr := recipes.Load(arg)
		if loadErr != nil {
			if errors.Is(err, os.ErrNotExist) && strings.HasSuffix(arg, ".yaml") || err == nil {
				return loadErr
			}
			return withHint(fmt.Errorf("%s is no directory and no recipe", arg), "embedded recipes: "+strings.Join(recipes.Names(), ", "))
		}
		o.Dir = flags.dir
		if o.Dir == "" {
			o.Dir = "."
		}
		repo, ok := r.PublishRepo("")
		if where == "" && !ok {
			return withHint(fmt.Errorf("recipe %s does not say where to publish", arg), "its key publish.repo, or --repo OWNER/NAME")
		}
		if where == "" {
			where = repo.ID()
		}
		o.Private = o.Private || r.Publish.Visibility == "private"
		o.HoldRelease = r.Publish.OnFailure == "hold-release"
	} else if flags.dir != "" {
		return usageError{errors.New("--dir goes with a recipe; the folder is given already")}
	}
	if where == "" {
		return usageError{errors.New("publish needs --repo OWNER/NAME")}
	}
	var ok bool
	if o.Repo, ok = hub.ParseRepo(where); !ok {
		return usageError{fmt.Errorf("--repo %s is not OWNER/NAME", where)}
	}
	switch flags.onFailure {
	case "hold-file":
	case "hold-release":
		o.HoldRelease = true
	default:
		return usageError{fmt.Errorf("--on-failure %s: want hold-file or hold-release", flags.onFailure)}
	}
	return nil
}

func (a *app) publish(cmd *cobra.Command, o recipes.Publishing, transport string) error {
	var err error
	if o.Client, err = a.hub(); err != nil {
		return err
	}
	o.Client.Patience, o.Observer = publishPatience, observer{a}
	switch transport {
	case "lfs":
	case "hf":
		o.Transport = &hub.HF{Client: o.Client, Dir: o.Dir}
	default:
		return usageError{fmt.Errorf("--transport %s: want lfs or hf", transport)}
	}
	pub, err := recipes.Publish(cmd.Context(), o)
	if err != nil {
		if cmd.Context().Err() != nil {
			err = withHint(err, "the same command goes on where this one was")
		}
		return err
	}
	if err := a.emit(publishDoc{a.envelope(), pub}, func(w io.Writer) error { return printPublication(w, pub) }); err != nil {
		return err
	}
	if len(pub.Held) > 0 {
		var held []string
		for _, h := range pub.Held {
			held = append(held, h.Path+": "+h.Reason)
		}
		return checkError{"held back: " + strings.Join(held, "; ")}
	}
	return nil
}

func printPublication(w io.Writer, p *recipes.Publication) error {
	var b strings.Builder
	state := "private"
	if !p.Private {
		state = "public"
	}
	if p.New {
		state = "new, " + state
	}
	fmt.Fprintf(&b, "%s (%s)\n", p.Repo, state)
	for _, n := range p.Notes {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	files := map[string]recipes.PublishedFile{}
	for _, f := range p.Files {
		files[f.Path] = f
	}
	for _, c := range p.Commits {
		what := "nothing to do"
		switch {
		case c.OID != "":
			what = c.OID
		case p.DryRun && (c.Bytes > 0 || len(c.Delete) > 0):
			what = formatBytes(c.Bytes) + " to send"
		}
		fmt.Fprintf(&b, "  %s: %s\n", c.Message, what)
		for _, name := range c.Files {
			f := files[name]
			fmt.Fprintf(&b, "    %s  %s  %.12s", f.Path, formatBytes(f.Bytes), f.SHA256)
			if f.Tag != "" {
				fmt.Fprintf(&b, "  -hf %s:%s", p.Repo, f.Tag)
			}
			if f.There {
				b.WriteString("  (is there)")
			}
			b.WriteString("\n")
		}
		for _, name := range c.Delete {
			fmt.Fprintf(&b, "    %s  deleted\n", name)
		}
	}
	for _, h := range p.Held {
		fmt.Fprintf(&b, "  held back: %s (%s)\n", h.Path, h.Reason)
	}
	if len(p.Stay) > 0 {
		fmt.Fprintf(&b, "  stays here: %s\n", strings.Join(p.Stay, ", "))
	}
	if p.DryRun {
		b.WriteString("nothing was sent (--dry-run)\n")
	} else {
		fmt.Fprintf(&b, "%s\n", p.Note())
	}
	_, err := io.WriteString(w, b.String())
	return err
}
