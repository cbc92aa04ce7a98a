package render

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/fatih/color"

	"github.com/netns-verify/netns-verify/internal/escape"
)

// labelWidth is the column at which a field's text begins.
const labelWidth = 15

// page is text being laid out: sections of labelled fields, wrapped.
type page struct {
	strings.Builder
	width int
	bad, good, doubt, strong,
	faint func(...any) string
}

func newPage(o Options) *page {
	paint := func(a ...color.Attribute) func(...any) string {
		c := color.New(a...)
		if o.Color {
			c.EnableColor()
		} else {
			c.DisableColor()
		}
		return c.SprintFunc()
	}
	p := &page{
		width: o.Width,
		bad:   paint(color.FgRed, color.Bold), good: paint(color.FgGreen, color.Bold),
		doubt: paint(color.FgYellow, color.Bold), strong: paint(color.Bold), faint: paint(color.Faint),
	}
	if p.width <= 0 {
		p.width = DefaultWidth
	}
	return p
}

// section starts a section: a blank line, and a painted head with a text after it.
func (p *page) section(paint func(...any) string, head, text string) {
	if p.Len() > 0 {
		p.WriteByte('\n')
	}
	if text == "" {
		p.WriteString(paint(escape.Line(head)) + "\n")
		return
	}
	p.lines(paint(escape.Line(head))+"  ", utf8.RuneCountInString(head)+2, 2, text)
}

func (p *page) label(s string) string {
	return p.faint(fmt.Sprintf("%-*s", labelWidth-2, escape.Line(s)))
}

// field is a labelled text, continued below where it began.
func (p *page) field(label, text string) {
	p.lines("  "+p.label(label), labelWidth, labelWidth, text)
}

// painted is a labelled text of our own.
func (p *page) painted(label string, paint func(...any) string, text string) {
	p.WriteString("  " + p.label(label) + paint(text) + "\n")
}

// item is one line of a list, continued further in.
func (p *page) item(text string) { p.lines("    ", 4, 6, text) }

// verbatim is a labelled text to be copied: its lines are left as they are.
func (p *page) verbatim(label, text string) {
	for line := range strings.Lines(escape.Text(text)) {
		fmt.Fprintf(p, "  %s%s\n", p.label(label), strings.TrimRight(line, "\n"))
		label = ""
	}
}

// lines wraps a text: prefix takes used columns, later lines are indented. A
// word that is too long for a line stays whole, so that it can be copied. What a
// terminal would act on is escaped here, wherever the text is from.
func (p *page) lines(prefix string, used, indent int, text string) {
	p.WriteString(prefix)
	column, start := used, true
	for _, word := range strings.Fields(escape.Text(text)) {
		n := utf8.RuneCountInString(word)
		switch {
		case start:
		case column+1+n > p.width:
			p.WriteString("\n" + strings.Repeat(" ", indent))
			column = indent
		default:
			p.WriteByte(' ')
			column++
		}
		p.WriteString(word)
		column, start = column+n, false
	}
	p.WriteByte('\n')
}
