// Package render turns a report into what somebody reads: one file a format.
// A renderer is a pure function of the report and the Options; it reads no
// clock, no terminal and no environment, so that golden files can pin it.
//
// What a report means is decided in the package above, how wide the terminal is
// and whether it has colours in cmd.
package render

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/netns-verify/netns-verify/internal/report"
)

// Options says how much to show and for what kind of page. Formats for
// machines ignore them: they always carry everything.
type Options struct {
	// Width is the page's in columns; 0 means DefaultWidth.
	Width int
	// Color allows SGR sequences (ECMA-48).
	Color bool
	// Verbose lists every key and attempt; Quiet only leaks and the verdict.
	Verbose, Quiet bool
}

// DefaultWidth is for pages that have no width of their own, such as files.
const DefaultWidth = 80

// Format is one way to write a report.
type Format struct {
	Name  string
	Write func(w io.Writer, r *report.Report, o Options) error
	// WriteAll writes the reports of several kernels.
	WriteAll func(w io.Writer, rs []*report.Report, o Options) error
}

// Formats lists what Find finds, the default first.
func Formats() []Format {
	return []Format{
		{"text", Text, TextAll},
		{"json", JSON, JSONAll},
	}
}

// Names lists the formats' names.
func Names() []string {
	var names []string
	for _, f := range Formats() {
		names = append(names, f.Name)
	}
	return names
}

// Find finds a format by its name.
func Find(name string) (Format, error) {
	all := Formats()
	i := slices.IndexFunc(all, func(f Format) bool { return f.Name == name })
	if i < 0 {
		return Format{}, fmt.Errorf("unknown format %q: use one of %s", name, strings.Join(Names(), ", "))
	}
	return all[i], nil
}
