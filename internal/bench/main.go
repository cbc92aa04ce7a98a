// Command bench measures netns-verify on the running kernel: its parts, whole
// runs, where the time of a run goes, `vm` beside a machine that only boots, and,
// where a checkout of the script linux-netns-sysctl-verify is at hand, both programs
// in turn. It judges nothing: `make bench` shows figures, and figures compare within
// one session.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/moby/sys/reexec"

	"github.com/netns-verify/netns-verify/child"
)

// pythonVariable names the checkout where -python does not.
const pythonVariable = "NETNS_VERIFY_BENCH_PYTHON"

// fewest is how often everything is measured at least: medians of fewer say little.
const fewest = 10

// build is what parent and child tell each other here.
const build = "bench"

// errCannot is for machines on which there is nothing to measure.
var errCannot = errors.New("bench needs root, and a kernel with network namespaces")

type options struct {
	n                 int
	binary, python    string
	kernels, poweroff string
}

func init() {
	reexec.Register(child.Entry, func() { child.Main(build) })
	reexec.Register(child.DrainEntry, child.DrainMain)
}

func main() {
	if reexec.Init() {
		return
	}
	var o options
	flag.IntVar(&o.n, "n", 20, fmt.Sprintf("how often to measure each, at least %d", fewest))
	flag.StringVar(&o.binary, "binary", "bin/netns-verify", "the `FILE` to run")
	flag.StringVar(&o.python, "python", os.Getenv(pythonVariable), "the `DIR` with a checkout of linux-netns-sysctl-verify (or $"+pythonVariable+")")
	flag.StringVar(&o.kernels, "kernels", ".cache/kernels/6.1-cloud", "the `DIR` with the packages of the kernel for vm")
	flag.StringVar(&o.poweroff, "poweroff", ".cache/poweroff", "the `FILE` that is init in a machine that only boots")
	flag.Parse()
	if flag.NArg() > 0 || o.n < fewest {
		_, _ = fmt.Fprintf(os.Stderr, "bench: takes flags only, and -n must be at least %d\n", fewest)
		os.Exit(2)
	}
	// A run that is stopped half-way has the host to put back.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := bench(ctx, os.Stdout, o)
	stop()
	if err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(3)
	}
}

// bench measures everything and prints it.
func bench(ctx context.Context, w io.Writer, o options) error {
	if err := able(ctx); err != nil {
		return err
	}
	var script *script
	if o.python != "" {
		var err error
		if script, err = findScript(o.python); err != nil {
			return err
		}
	}
	whole, err := wholeRuns(ctx, o, script)
	if err != nil {
		return err
	}
	parts, err := measureParts(ctx, o.n, whole.report)
	if err != nil {
		return err
	}
	machines, err := measureMachines(ctx, o)
	if err != nil {
		return err
	}
	return show(w, o, whole, parts, machines)
}
