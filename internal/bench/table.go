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
func show(out io.Writer, o options, whole wholeTimes, parts partTimes, machines machineTimes) error {
	r := whole.report
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(cells ...string) { _, _ = fmt.Fprintln(w, strings.Join(cells, "\t")) } // Flush reports what fails
	row := func(what string, s sample, keys int) {
		line(append([]string{what}, figures(s, keys)...)...)
	}
	_, _ = fmt.Fprintf(w, "netns-verify %s, Linux %s, %d CPUs, load %s; medians of %d, between them half of all\n\n",
		r.Tool.Version, r.Host.KernelRelease, runtime.NumCPU(), load(), o.n)

	line("", "ms", "quartiles", "keys", "µs/key")
	row("survey of the host", parts.survey, parts.hostKeys)
	row("one sweep of it (kept descriptors)", parts.sweep, parts.hostKeys)
	row("a writer's start, until its hello", parts.start, 0)
	row("one batch of writes in it", parts.batch, parts.batchKeys)
	row("a whole run (process, --json)", whole.ours, len(r.Keys))
	if len(whole.python) > 0 {
		row("the Python script (process)", whole.python, 0)
		pairs := ratios(whole.ours, whole.python)
		line("ratio ours/Python", fmt.Sprintf("%.2f", whole.ours.median()/whole.python.median()),
			fmt.Sprintf("%.2f - %.2f", pairs.quantile(0.25), pairs.quantile(0.75)))
	}

	line("\nwhere a run's time goes", "ms", "quartiles", "%")
	for _, step := range steps {
		s := parts.steps[step]
		line(step, figures(s, 0)[0], figures(s, 0)[1], fmt.Sprintf("%.0f", 100*s.median()/parts.run.median()))
	}
	row("all (within bench, 2 passes)", parts.run, 0)
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
			pairs := ratios(vm.rest, machines.bare)
			line("  ratio the rest/only boots", fmt.Sprintf("%.2f", pairs.median()),
				fmt.Sprintf("%.2f - %.2f", pairs.quantile(0.25), pairs.quantile(0.75)))
		}
	}
	if len(whole.python) == 0 {
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
