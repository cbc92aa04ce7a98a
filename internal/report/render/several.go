package render

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/netns-verify/netns-verify/internal/escape"
	"github.com/netns-verify/netns-verify/internal/report"
)

// TextAll writes the reports one after another, and a table of them at the end.
func TextAll(w io.Writer, rs []*report.Report, o Options) error {
	for _, r := range rs {
		p := newPage(o)
		p.section(p.strong, "=== Linux "+r.Host.KernelRelease, "")
		if _, err := fmt.Fprintln(w, p.String()); err != nil {
			return fmt.Errorf("write text report: %w", err)
		}
		if err := Text(w, r, o); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return fmt.Errorf("write text report: %w", err)
		}
	}
	if _, err := io.WriteString(w, Table(rs, o)); err != nil {
		return fmt.Errorf("write text report: %w", err)
	}
	return nil
}

// Table has a line for each report.
func Table(rs []*report.Report, o Options) string {
	p := newPage(o)
	p.section(p.strong, "KERNELS", plural(len(rs), "kernel"))
	t := tabwriter.NewWriter(p, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "  kernel\tresult\tleaks\tkeys tested\tuntested\ttime\texit status") // a page takes everything
	for _, r := range rs {
		c := r.Asked()
		_, _ = fmt.Fprintf(t, "  %s\t%s\t%d\t%d of %d\t%d\t%.1f s\t%d\n", escape.Line(r.Host.KernelRelease), result(r), len(r.Leaks),
			c.Perturbed, c.Writable, c.Verdicts[report.VerdictUntested],
			float64(r.Run.DurationMS)/1000, r.Run.ExitStatus)
	}
	_ = t.Flush()
	p.byVerdict(rs)
	p.byCreation(rs)
	return p.String()
}

// byVerdict counts the keys by verdict: a line for each kernel and writer.
func (p *page) byVerdict(rs []*report.Report) {
	count := func(r *report.Report, writer string) []int {
		n := map[report.Verdict]int{}
		for _, k := range asked(r) {
			if w, ok := k.Writers[writer]; ok {
				n[w.Verdict]++
			} else if len(k.Writers) == 0 { // nobody has it but the host
				n[k.Verdict]++
			}
		}
		return counts(n, report.Verdicts())
	}
	p.section(p.strong, "KEYS", "by what became of them")
	t := newTable(p, "kernel\twriter", report.Verdicts())
	for _, r := range rs {
		for _, w := range r.Run.Writers {
			t.row(escape.Line(r.Host.KernelRelease)+"\t"+escape.Line(w), count(r, w))
		}
	}
	t.flush()
}

// byCreation counts the keys by where namespaces have their values from, if that
// was looked into.
func (p *page) byCreation(rs []*report.Report) {
	if !slices.ContainsFunc(rs, func(r *report.Report) bool { return len(r.Counts.Creation) > 0 }) {
		return
	}
	p.section(p.strong, "CREATION", "where namespaces have their keys' values from")
	t := newTable(p, "kernel", origins())
	for _, r := range rs {
		if len(r.Counts.Creation) > 0 {
			t.row(escape.Line(r.Host.KernelRelease), counts(r.Counts.Creation, origins()))
		}
	}
	t.flush()
}

// table has a column for each of some words.
type table struct{ *tabwriter.Writer }

func newTable[W ~string](p *page, first string, words []W) table {
	t := table{tabwriter.NewWriter(p, 0, 0, 2, ' ', 0)}
	_, _ = fmt.Fprint(t, "  "+first) // a page takes everything
	for _, w := range words {
		_, _ = fmt.Fprintf(t, "\t%s", w)
	}
	_, _ = fmt.Fprintln(t)
	return t
}

func (t table) row(first string, ns []int) {
	_, _ = fmt.Fprint(t, "  "+first)
	for _, n := range ns {
		_, _ = fmt.Fprintf(t, "\t%d", n)
	}
	_, _ = fmt.Fprintln(t)
}

func (t table) flush() { _ = t.Flush() }

func counts[W ~string](n map[W]int, words []W) []int {
	out := make([]int, len(words))
	for i, w := range words {
		out[i] = n[w]
	}
	return out
}

// result is a verdict in a word or two.
func result(r *report.Report) string {
	head, _, _ := strings.Cut(Verdict(r, Options{}), ":")
	return strings.ToLower(head)
}
