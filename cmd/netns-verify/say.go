package main

import (
	"fmt"
	"io"

	"github.com/netns-verify/netns-verify/internal/escape"
)

// say writes a text for people: errors may hold names of devices and files, and
// what a guest said. Nobody is left to tell where that fails.
func say(w io.Writer, format string, args ...any) {
	_, _ = io.WriteString(w, escape.Text(fmt.Sprintf(format, args...)))
}
