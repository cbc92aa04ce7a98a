package main

import (
	"os"

	"golang.org/x/term"

	"github.com/netns-verify/netns-verify/internal/report/render"
)

// terminal is what a standard stream leads to.
type terminal struct {
	file *os.File
	// is tells that it is a terminal, moves that it can rewrite a line, color
	// that it may be written to in colours (https://no-color.org).
	is, moves, color bool
}

func terminalOf(f *os.File) terminal {
	t := terminal{file: f, is: term.IsTerminal(int(f.Fd()))}
	t.moves = t.is && os.Getenv("TERM") != "dumb" && os.Getenv("TERM") != ""
	t.color = t.moves && os.Getenv("NO_COLOR") == ""
	return t
}

// width is the terminal's at this moment, in columns.
func (t terminal) width() int {
	if t.is {
		if w, _, err := term.GetSize(int(t.file.Fd())); err == nil && w > 0 {
			return w
		}
	}
	return render.DefaultWidth
}
