// Command release builds moeconv for every platform it is published for, without cgo, and writes their SHA256SUMS:
//
//	go run ./cmd/release -version v1.2.3 -out dist
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// targets are the platforms, as GOOS/GOARCH.
const targets = "linux/amd64,linux/arm64,darwin/arm64,windows/amd64"

// versionForm keeps what is stamped into the binaries harmless on a command line.
var versionForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.+-]*$`)

func main() {
	version := flag.String("version", "", "`VERSION` that the binaries tell; empty: git describe")
	out := flag.String("out", "dist", "`DIR` of the binaries")
	list := flag.String("targets", targets, "`PLATFORMS` to build for")
	flag.Parse()
	if err := release(*version, *out, strings.Split(*list, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "release: error:", err)
		os.Exit(1)
	}
}

func release(version, out string, platforms []string) error {
	if version == "" {
		b, err := exec.Command("git", "describe", "--tags", "--always", "--dirty").Output()
		if err != nil {
			return fmt.Errorf("git describe: %w (-version names one)", err)
		}
		version = strings.TrimSpace(string(b))
	}
	if !versionForm.MatchString(version) {
		return fmt.Errorf("version %q: want letters, digits, dots, plus and minus", version)
	}
	if err := os.MkdirAll(out, 0o777); err != nil {
		return err
	}
	var sums bytes.Buffer
	for _, p := range platforms {
		name, err := build(version, out, p)
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		sum, err := hash(filepath.Join(out, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%s  %s\n", sum, name)
		fmt.Printf("%s  %s\n", sum, name)
	}
	return os.WriteFile(filepath.Join(out, "SHA256SUMS"), sums.Bytes(), 0o666)
}

// build compiles one binary. The same sources and version give the same bytes on every machine with the same Go.
func build(version, out, platform string) (name string, err error) {
	goos, goarch, ok := strings.Cut(platform, "/")
	if !ok {
		return "", errors.New("want GOOS/GOARCH")
	}
	name = fmt.Sprintf("moeconv-%s-%s-%s", version, goos, goarch)
	if goos == "windows" {
		name += ".exe"
	}
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=auto", "-ldflags", "-s -w -X main.stamped="+version, "-o", filepath.Join(out, name), "./cmd/moeconv")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return name, cmd.Run()
}

func hash(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
