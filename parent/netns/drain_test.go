package netns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/moby/sys/reexec"
	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/child"
	"github.com/netns-verify/netns-verify/internal/testenv"
)

const (
	drainedEntry  = "test-drained"
	namespaceless = "test-nothing"
)

func init() {
	reexec.Register(namespaceless, func() { os.Exit(0) })
	reexec.Register(drainedEntry, func() {
		if err := drained(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	})
}

// TestDrainObserves: what ended before the wait is gone after it. How many
// network namespaces there are is observed by how many more a user namespace
// grants: one whose process has ended counts until the kernel is done with it.
func TestDrainObserves(t *testing.T) {
	testenv.NeedUserNS(t)
	cmd := reexec.Command(drainedEntry)
	cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWUSER
	cmd.SysProcAttr.UidMappings = selfMap(os.Getuid())
	cmd.SysProcAttr.GidMappings = selfMap(os.Getgid())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func drained() error {
	const many = 8
	limit := func(n int) error {
		return os.WriteFile("/proc/sys/user/max_net_namespaces", []byte(strconv.Itoa(n)), 0)
	}
	if err := limit(many + 1); err != nil { // the helper needs one at a time
		return err
	}
	d := startDrain(child.DrainEntry)
	defer d.close()
	for range many {
		if err := makeNamespace(); err != nil {
			return fmt.Errorf("make a namespace: %w", err)
		}
	}
	if err := d.wait(context.Background()); err != nil {
		return fmt.Errorf("wait: %w", err)
	}
	// The helper's own last one may still be there, none of those before it.
	if err := limit(2); err != nil {
		return err
	}
	if err := makeNamespace(); err != nil {
		return fmt.Errorf("namespaces that ended before the wait are still there: %w", err)
	}
	return nil
}

func makeNamespace() error {
	cmd := reexec.Command(namespaceless)
	cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWNET
	return cmd.Run()
}

func TestDrain(t *testing.T) {
	testenv.NeedUserNS(t)
	t.Run("twice", func(t *testing.T) {
		d := startDrain(child.DrainEntry)
		defer d.close()
		for i := range 2 {
			if err := d.wait(context.Background()); err != nil {
				t.Errorf("wait %d: %v", i+1, err)
			}
		}
	})
	t.Run("closed", func(t *testing.T) {
		d := startDrain(child.DrainEntry)
		d.close()
		d.close()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		for range 2 {
			if err := d.wait(ctx); err == nil {
				t.Error("a helper that is gone says that all is drained")
			}
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		d := startDrain(child.DrainEntry)
		defer d.close()
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(cause)
		// A helper that was quick enough has told the truth.
		if err := d.wait(ctx); err != nil && !errors.Is(err, cause) && !strings.Contains(err.Error(), "drain helper") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("no helper", func(t *testing.T) {
		d := startDrain("")
		defer d.close()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := d.wait(ctx); err == nil {
			t.Error("nobody says that all is drained")
		}
	})
	t.Run("garbage", func(t *testing.T) {
		d := startDrain(namespaceless) // ends without a word
		defer d.close()
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		if err := d.ask(ctx); err == nil {
			t.Error("a helper without a word says that all is drained")
		}
	})
}

// TestDrainIsPlain: all that the helper has left is the right to make namespaces.
func TestDrainIsPlain(t *testing.T) {
	testenv.NeedUserNS(t)
	d := startDrain(child.DrainEntry)
	defer d.close()
	if err := d.wait(context.Background()); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%016x %016[1]x 1\n", uint64(1<<unix.CAP_SYS_ADMIN))
	if got := testenv.Privileges(t, d.cmd.Process.Pid); !strings.Contains(got, want) {
		t.Errorf("permitted, effective, no_new_privs: wants %s, has\n%s", want, got)
	}
}
