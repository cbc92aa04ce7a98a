package simkernel

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/internal/observe"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent"
)

// loading is a kernel that loads a module when a key is written, or never. With
// it comes a new value of a key that nobody can write.
type loading struct {
	*Kernel
	key sysctl.Key
}

const listed = sysctl.Key("kernel/listed")

func (l loading) Host() sysctl.Tree { return loadingTree{l.Kernel.Host(), l} }

type loadingTree struct {
	sysctl.Tree
	l loading
}

func (t loadingTree) Modules() (keys []sysctl.Key) {
	if slices.ContainsFunc(t.l.Log().Writes, func(w Write) bool { return w.Key == t.l.key }) {
		keys = append(keys, observe.ModuleKey("late"))
	}
	return append(keys, observe.ModuleKey("early"))
}

func (t loadingTree) List() ([]sysctl.Key, error) {
	keys, err := t.Tree.List()
	keys = slices.Concat(keys, t.Modules(), []sysctl.Key{listed})
	slices.Sort(keys)
	return keys, err
}

func (t loadingTree) Mode(k sysctl.Key) (fs.FileMode, error) {
	if k == listed || observe.IsModule(k) {
		return 0o444, nil
	}
	return t.Tree.Mode(k)
}

func (t loadingTree) Read(k sysctl.Key) sysctl.State {
	switch {
	case k == listed:
		return sysctl.State{Value: fmt.Sprint(len(t.Modules()))}
	case !observe.IsModule(k):
		return t.Tree.Read(k)
	case slices.Contains(t.Modules(), k):
		return sysctl.State{Value: "loaded"}
	}
	return sysctl.Absent
}

func (t loadingTree) Keep() sysctl.Reader { return loadingReader{t} }

type loadingReader struct{ loadingTree }

func (loadingReader) Close() error { return nil }

// A module that the kernel loads because of a write is a one-way leak of that
// write, however many others are in its batch, and what came with it is part of it.
// On a machine with others it may be theirs.
func TestModuleLoads(t *testing.T) {
	for _, tt := range []struct {
		key     sysctl.Key
		private bool
	}{{"", true}, {"net/k07", true}, {"net/k07", false}} {
		key := tt.key
		synctest.Test(t, func(t *testing.T) {
			b := newBuilder()
			for i := range 20 {
				b.add(number(sysctl.Key(fmt.Sprintf("net/k%02d", i)), "5"))
			}
			m := loading{b.finish(1, realClock{}), key}
			r, err := parent.Run(context.Background(), m, parent.Options{Seed: 7, Private: tt.private, Logger: zerolog.Nop()})
			synctest.Wait()
			if err != nil {
				t.Fatal(err)
			}
			if r.Counts.HostKeys != 20 || len(r.Keys) != 20 || r.Counts.Watched < 22 || (len(r.Unconfirmed) > 0) != (key != "" && !tt.private) {
				t.Errorf("counts %+v, %d keys, unconfirmed %+v", r.Counts, len(r.Keys), r.Unconfirmed)
			}
			if key == "" || !tt.private {
				if len(r.Leaks) > 0 {
					t.Errorf("false leaks %+v", r.Leaks)
				}
				return
			}
			if len(r.Leaks) != 1 {
				t.Fatalf("%d leaks: %+v", len(r.Leaks), r.Leaks)
			}
			l := r.Leaks[0]
			var effects []string
			for _, e := range l.Effects {
				effects = append(effects, e.Observer+" "+e.Kind+" "+e.What+" "+e.Key)
			}
			slices.Sort(effects)
			want := []string{"host appeared module late", "host changed sysctl kernel/listed"}
			if len(l.Cause) != 1 || l.Cause[0].Key != string(key) || l.Evidence.Status != report.StatusOneWay || l.Restored || !slices.Equal(effects, want) {
				t.Errorf("cause %+v, effects %q, %+v", l.Cause, effects, l.Evidence)
			}
			if e := l.Effects; *e[len(e)-1].After != "loaded" && *e[0].After != "loaded" {
				t.Errorf("the module's state is a secret: %+v", e)
			}
		})
	}
}
