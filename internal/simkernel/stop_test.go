package simkernel

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/parent"
	"github.com/netns-verify/netns-verify/parent/netns"
)

var errEnough = errors.New("enough")

// A run that is stopped at any moment calls nothing isolated that leaks, puts
// the host back, and leaves no namespace behind.
func TestStoppedRuns(t *testing.T) {
	n := uint64(1000)
	if raceDetector || testing.Short() {
		n = 100
	}
	stoppedAt := map[string]int{}
	for seed := range n {
		synctest.Test(t, func(t *testing.T) {
			k, truth := Generate(seed)
			rng := rand.New(rand.NewPCG(seed, 2))
			ctx, cancel := context.WithCancelCause(context.Background())
			defer cancel(nil)
			var started atomic.Int64 // children, some of them at the same time
			enough := int64(rng.IntN(60))
			m := &stopping{Kernel: k, after: func() {
				if started.Add(1) == enough {
					cancel(errEnough)
				}
			}}
			before := k.Snapshot()
			r, err := parent.Run(ctx, m, parent.Options{
				Devices: hostDevices(k),
				Seed:    seed, BatchSize: 1 + rng.IntN(8), Logger: zerolog.Nop(), Thorough: seed%8 == 0, Descriptors: seed%4 == 1,
			})
			synctest.Wait()
			if err == nil {
				return // it was over before that
			}
			if !errors.Is(err, errEnough) {
				t.Errorf("seed %d: %v", seed, err)
			}
			stoppedAt[r.Run.Phase]++
			if live := k.Live(); live != 0 {
				t.Errorf("seed %d: %d namespaces are left", seed, live)
			}
			for _, v := range Check(truth, k.Log(), r, before, k.Snapshot()) {
				// What was not attributed in time is no failure; what is said must be true.
				if strings.Contains(v, "is said to be isolated") || strings.Contains(v, "false leak") || strings.HasPrefix(v, "host:") {
					t.Errorf("seed %d, stopped in %s: %s", seed, r.Run.Phase, v)
				}
			}
		})
	}
	t.Logf("stopped in %v", stoppedAt)
	if len(stoppedAt) < 2 {
		t.Errorf("stopped in %v only", stoppedAt)
	}
}

// stopping is a kernel that tells of each start of a child.
type stopping struct {
	*Kernel
	after func()
}

func (s *stopping) Start(ctx context.Context, role netns.Role) (*netns.Process, error) {
	s.after()
	return s.Kernel.Start(ctx, role)
}

// A run whose budget of replays is used up calls nothing isolated that leaks,
// reports nothing false, and puts the host back.
func TestBudgetEnds(t *testing.T) {
	n := uint64(400)
	if raceDetector || testing.Short() {
		n = 40
	}
	ended := 0
	for seed := range n {
		synctest.Test(t, func(t *testing.T) {
			k, truth := Generate(seed)
			before := k.Snapshot()
			r, err := parent.Run(context.Background(), k, parent.Options{
				Devices: hostDevices(k),
				Seed:    seed, BatchSize: 1 + int(seed%16), MaxReplays: 1 + int(seed%40), Logger: zerolog.Nop(),
			})
			synctest.Wait()
			if err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
			if !r.Run.ReplaysExhausted {
				return
			}
			ended++
			for _, v := range Check(truth, k.Log(), r, before, k.Snapshot()) {
				if strings.Contains(v, "is said to be isolated") || strings.Contains(v, "false leak") || strings.HasPrefix(v, "host:") {
					t.Errorf("seed %d: %s", seed, v)
				}
			}
		})
	}
	t.Logf("the budget of %d of %d runs was used up", ended, n)
	if ended < int(n)/4 {
		t.Error("too few to tell")
	}
}
