package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moeconv/moeconv/verify/evidence"
)

type auditDoc struct {
	envelope
	*evidence.AuditReport
}

func auditCmd(a *app) *cobra.Command {
	var (
		claims, cardName string
		skip             []string
	)
	cmd := &cobra.Command{
		Use:   "audit DIR or DOCUMENT..",
		Short: "Hold claims, card and documents against the evidence; exit status 3 with the list of what fails",
		Long: `audit recomputes a bundle's hashes and holds every claim, and every number of the model
card, against the evidence. DIR is what hf2gguf left, or a bundle. DOCUMENT is any other text:
rules apply to it that a release's own texts keep too. Several arguments are audited together.

` + lintHelp(),
		Args: usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, name := range skip {
				if !slices.ContainsFunc(evidence.Lints(), func(l evidence.Lint) bool { return l.Name == name }) {
					return usageError{fmt.Errorf("--skip %s: there is no such rule", name)}
				}
			}
			rep, err := a.audit(args, claims, cardName, skip)
			if err != nil {
				return err
			}
			doc := auditDoc{a.envelope(), rep}
			err = a.emit(doc, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, strings.Join(rep.Lines(), "\n"))
				return err
			})
			if err == nil && !rep.Pass {
				return checkError{"audit failed: " + strings.Join(rep.Failed(), ", ")}
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&claims, "claims", "", "claims `FILE` instead of the bundle's own")
	f.StringVar(&cardName, "card", "", "model card `FILE` instead of the one beside the bundle")
	f.StringSliceVar(&skip, "skip", nil, "`RULES` about texts that are not applied")
	return cmd
}

func lintHelp() string {
	var b strings.Builder
	b.WriteString("Rules about texts:\n")
	for _, l := range evidence.Lints() {
		fmt.Fprintf(&b, "  %-14s %s\n", l.Name, l.About)
	}
	return strings.TrimRight(b.String(), "\n")
}

// audit tells bundles from documents: at most one of the arguments is a folder.
func (a *app) audit(args []string, claims, cardName string, skip []string) (*evidence.AuditReport, error) {
	o := evidence.AuditOptions{Skip: skip}
	var dir string
	for _, arg := range args {
		info, err := os.Stat(arg)
		switch {
		case err != nil:
			return nil, err
		case !info.IsDir():
			data, err := readDoc(arg)
			if err != nil {
				return nil, err
			}
			o.Documents = append(o.Documents, evidence.Doc{Name: arg, Data: data})
		case dir != "":
			return nil, usageError{errors.New("more than one folder")}
		default:
			dir = arg
		}
	}
	if claims != "" {
		if dir == "" {
			return nil, usageError{errors.New("--claims needs the bundle they are held against")}
		}
		list, err := evidence.ReadClaims(os.DirFS(filepath.Dir(claims)), filepath.Base(claims))
		if err != nil {
			return nil, err
		}
		o.Claims = append([]evidence.Claim{}, list...)
	}
	if dir == "" {
		return evidence.Audit(nil, o), nil
	}
	bundle, card, err := findBundle(dir)
	if err != nil {
		return nil, err
	}
	if cardName != "" {
		card = cardName
	}
	if card != "" {
		data, err := readDoc(card)
		if err != nil && (cardName != "" || !errors.Is(err, fs.ErrNotExist)) {
			return nil, err
		}
		if err == nil {
			o.Card = &evidence.Doc{Name: filepath.Base(card), Data: data}
		}
	}
	return evidence.Audit(os.DirFS(bundle), o), nil
}

// findBundle is the bundle in a folder, or the folder itself, and where its card should be.
func findBundle(dir string) (bundle, card string, err error) {
	const suffix = ".evidence"
	found, err := fs.Glob(os.DirFS(dir), "*"+suffix)
	if err != nil {
		return "", "", err
	}
	bundle = filepath.Clean(dir)
	if _, err := os.Stat(filepath.Join(dir, evidence.ManifestName)); err != nil && !strings.HasSuffix(bundle, suffix) {
		switch len(found) {
		case 0:
			return "", "", withHint(fmt.Errorf("%s: no bundle here", dir), "moeconv evidence DIR makes one of what hf2gguf left")
		case 1:
			bundle = filepath.Join(dir, found[0])
		default:
			return "", "", withHint(fmt.Errorf("%s: %d bundles here", dir, len(found)), "name one of them")
		}
	}
	if stem, ok := strings.CutSuffix(bundle, suffix); ok {
		card = stem + ".card.md"
	}
	return bundle, card, nil
}

// readDoc reads a document that the user names.
func readDoc(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	const most = 64 << 20
	if info.Size() > most || info.IsDir() {
		return nil, errors.New(name + ": no document of at most 64 MiB")
	}
	return os.ReadFile(name)
}
