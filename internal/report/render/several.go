package render

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

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
		_, _ = fmt.Fprintf(t, "  %s\t%s\t%d\t%d of %d\t%d\t%.1f s\t%d\n", r.Host.KernelRelease, result(r), len(r.Leaks),
			r.Counts.Perturbed, r.Counts.Writable, r.Counts.Verdicts[report.VerdictUntested],
			float64(r.Run.DurationMS)/1000, r.Run.ExitStatus)
	}
	_ = t.Flush()
	return p.String()
}

// result is a verdict in a word or two.
func result(r *report.Report) string {
	head, _, _ := strings.Cut(Verdict(r, Options{}), ":")
	return strings.ToLower(head)
}
