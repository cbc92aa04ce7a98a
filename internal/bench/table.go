package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
)

// show prints what was measured.
func show(out io.Writer, o options, runs runTimes, host hostTimes, machines machineTimes) error {
	r := runs.report
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(cells ...string) { _, _ = fmt.Fprintln(w, strings.Join(cells, "\t")) } // Flush reports what fails
	row := func(what string, s sample, keys int) {
		line(append([]string{what}, figures(s, keys)...)...)
	}
	ratio := func(what string, a, b sample) {
		pairs := ratios(a, b)
		line(what, fmt.Sprintf("%.2f", pairs.median()), fmt.Sprintf("%.2f - %.2f", pairs.quantile(0.25), pairs.quantile(0.75)))
	}
	_, _ = fmt.Fprintf(w, "netns-verify %s, Linux %s, %d CPUs, load %s; medians of %d, between them half of all\n\n",
		r.Tool.Version, r.Host.KernelRelease, runtime.NumCPU(), load(), o.n)

	line("whole processes", "ms", "quartiles")
	for i, args := range asked {
		what := strings.Join(args, " ")
		row(what, runs.ours[i], 0)
		if o.base != "" {
			row("  of "+o.base, runs.base[i], 0)
			ratio("  ratio to that", runs.ours[i], runs.base[i])
		}
		if i > 0 {
			ratio("  ratio to "+strings.Join(asked[0], " "), runs.ours[i], runs.ours[0])
		}
	}
	if o.python != "" {
		row("the Python script", runs.python, 0)
		for i, args := range asked {
			ratio("  ratio of "+strings.Join(args, " ")+" to it", runs.ours[i], runs.python)
		}
	}

	line("\nwhere the time of "+strings.Join(asked[0], " ")+" goes", "ms", "quartiles", "%")
	for _, p := range runs.phases {
		line(p.name, figures(p.took, 0)[0], figures(p.took, 0)[1], fmt.Sprintf("%.0f", 100*p.took.median()/runs.ours[0].median()))
	}

	line("\nlooking at the host", "ms", "quartiles", "keys", "µs/key")
	row("survey", host.survey, host.keys)
	row("one sweep (kept descriptors)", host.sweep, host.keys)
	if machines.none != nil {
		line("\n" + machines.none.Error())
	} else {
		line(fmt.Sprintf("\nvm on %s (TCG), %d times", machines.release, machineRounds), "ms", "quartiles")
		row("a machine that only boots", machines.bare, 0)
		for _, vm := range []struct {
			given string
			vmTimes
		}{{"--kernel --modules", machines.files}, {"--deb", machines.packages}} {
			row("vm "+vm.given+" (process, net.core)", vm.whole, 0)
			row("  of that, the guest's first word to its last", vm.guest, 0)
			ratio("  ratio the rest/only boots", vm.rest, machines.bare)
		}
	}
	if o.python == "" {
		line("\nNot beside the Python script: for that, clone JonathonReinhart/linux-netns-sysctl-verify from")
		line("GitHub to a directory outside this one, and say make bench ARGS='-python DIR', or set")
		line(pythonVariable + "=DIR.")
	}
	return w.Flush()
}

// figures is the cells of a sample; keys is 0 where time a key means nothing.
func figures(s sample, keys int) []string {
	const milli = 1e3
	cells := []string{
		fmt.Sprintf("%.2f", milli*s.median()),
		fmt.Sprintf("%.2f - %.2f", milli*s.quantile(0.25), milli*s.quantile(0.75)),
	}
	if keys > 0 {
		cells = append(cells, fmt.Sprint(keys), fmt.Sprintf("%.1f", 1e6*s.median()/float64(keys)))
	}
	return cells
}

// load is the machine's load of the last minute: figures of a busy one say little.
func load() string {
	text, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(text), " ")
	return cmp.Or(first, "unknown")
}
