// Command bench measures netns-verify on the running kernel: runs as users make them,
// where the time of one goes, a survey and a sweep of the host, and `vm` beside a machine
// that only boots. With another build of the program, or a checkout of the script
// linux-netns-sysctl-verify, it measures them in turn and shows the ratios of neighbours.
// It judges nothing: `make bench` shows figures, and figures compare within one session.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// pythonVariable names the checkout where -python does not.
const pythonVariable = "NETNS_VERIFY_BENCH_PYTHON"

// fewest is how often everything is measured at least: medians of fewer say little.
const fewest = 10

type options struct {
	n                    int
	binary, base, python string
	kernels, poweroff    string
}

func main() {
	var o options
	flag.IntVar(&o.n, "n", 20, fmt.Sprintf("how often to measure each, at least %d", fewest))
	flag.StringVar(&o.binary, "binary", "bin/netns-verify", "the `FILE` to run")
	flag.StringVar(&o.base, "base", "", "another build of it, a `FILE` to compare with")
	flag.StringVar(&o.python, "python", os.Getenv(pythonVariable), "the `DIR` with a checkout of linux-netns-sysctl-verify (or $"+pythonVariable+")")
	flag.StringVar(&o.kernels, "kernels", ".cache/kernels/6.1-cloud", "the `DIR` with the packages of the kernel for vm; empty: no vm")
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
	runs, err := measureRuns(ctx, o)
	if err != nil {
		return err
	}
	host, err := measureHost(ctx, o.n)
	if err != nil {
		return err
	}
	machines, err := measureMachines(ctx, o)
	if err != nil {
		return err
	}
	return show(w, o, runs, host, machines)
}
