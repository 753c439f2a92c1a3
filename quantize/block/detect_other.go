//go:build !amd64 || purego

package block

func detect() form { return generic }
