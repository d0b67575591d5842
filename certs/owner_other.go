//go:build !unix

package certs

import "os"

// inherit does nothing where the directory says who may read its files.
func inherit(*os.File, os.FileInfo) error { return nil }

// tooOpen is false: Windows has no such bits, and reports 0666.
func tooOpen(os.FileInfo, bool) bool { return false }
