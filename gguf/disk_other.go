//go:build !unix

package gguf

import "os"

func lock(*os.File) error               { return nil }
func isNoSpace(error) bool              { return false }
func (osDisk) device(dir string) string { return dir }

func lockDir(string) (unlock func(), err error) { return func() {}, nil }
