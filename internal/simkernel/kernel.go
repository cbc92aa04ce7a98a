package simkernel

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"

	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/child"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/netns"
	"github.com/netns-verify/netns-verify/protocol"
)

// model is what is drawn of a kernel. It does not change.
type model struct {
	seed      uint64
	keys      []keyModel
	index     map[sysctl.Key]int
	sorted    []int // key numbers in key order
	globals   []int // keys that are one variable for all
	templated []int // keys that leaks set in the template
	effects   [][]sameNS
	rules     []rule
	byKey     [][]int // rules by the key that triggers them
	plants    []Plant
	devices   []string // those that children have on request only
}

func (m *model) side(ns *namespace, key int) *side {
	if ns.role == roleHost {
		return &m.keys[key].host
	}
	return &m.keys[key].child
}

func (m *model) readable(ns *namespace, key int) bool {
	return m.side(ns, key).mode&0o444 != 0 && !(ns.role == roleHost && m.keys[key].hidden)
}

// Kernel is a simulated machine. It implements netns.Machine.
type Kernel struct {
	model
	clock clock

	mu       sync.Mutex
	host     *namespace
	children []*namespace
	template []cell
	original []base // of the template
	pristine []base // what a fresh namespace looks like where nobody leaked
	started  map[netns.Role]int
	pending  []pending
	log      Log
}

var _ netns.Machine = (*Kernel)(nil)

// Host implements netns.Machine.
func (k *Kernel) Host() sysctl.Tree { return view{k, k.host} }

// NFLog implements netns.Machine: no loggers here.
func (k *Kernel) NFLog() string { return "" }

// Drain implements netns.Machine.
func (k *Kernel) Drain(ctx context.Context) error {
	k.clock.sleep(costDrain)
	return ctx.Err()
}

// Snapshot is the host as it is, taken without anybody noticing.
func (k *Kernel) Snapshot() sysctl.Snapshot {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.advance()
	var s sysctl.Snapshot
	for _, i := range k.sorted {
		if st := k.state(k.host, i); st.present {
			m := &k.keys[i]
			s = append(s, sysctl.Entry{Key: m.name, Mode: m.host.mode, State: sysctl.State{Value: st.value}})
		}
	}
	return s
}

// Live is how many children have not ended.
func (k *Kernel) Live() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.children)
}

const build = "simulated"

var errKilled = errors.New("signal: killed")

// noProcess is beyond the pids that processes have (PID_MAX_LIMIT, linux/threads.h): nobody is
// to take a child for one.
const noProcess = 1 << 23

// Start implements netns.Machine: child.Serve in a goroutine, on a fresh namespace.
func (k *Kernel) Start(ctx context.Context, role netns.Role) (*netns.Process, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	k.clock.sleep(costStart)
	ns := k.enter(role)
	requests, toChild := io.Pipe()
	replies, toParent := io.Pipe()
	done := make(chan struct{})
	var mu sync.Mutex
	var killed bool
	var ended error
	go func() {
		defer close(done)
		number := 1000*len(role) + ns.number
		hello := protocol.Hello{Version: protocol.Version, Build: build, PID: noProcess + number, NetNS: uint64(number)}
		err := child.Serve(view{k, ns}, hello, requests, toParent, zerolog.Nop())
		k.leave(ns)
		_ = requests.Close() // never fails, nor does the other
		_ = toParent.Close()
		mu.Lock()
		defer mu.Unlock()
		if ended = err; killed {
			ended = errKilled
		}
	}()
	return &netns.Process{
		Requests: watched{toChild, k, ns},
		Replies:  replies,
		Build:    build,
		Receive:  ns.receive,
		Kill: func() {
			mu.Lock()
			select {
			case <-done:
			default:
				killed = true
			}
			mu.Unlock()
			k.leave(ns)
			_ = requests.Close()
			_ = toParent.Close()
		},
		Wait: func() error {
			<-done
			mu.Lock()
			defer mu.Unlock()
			return ended
		},
	}, nil
}

// watched notes on the way which requests are the plan's: Conn.Send writes one
// message with one Write call.
type watched struct {
	io.WriteCloser
	k  *Kernel
	ns *namespace
}

func (w watched) Write(p []byte) (int, error) {
	const perturb = `{"perturb":`
	planned := len(p) > len(perturb) && strings.HasPrefix(string(p[:len(perturb)]), perturb)
	w.k.mu.Lock()
	w.ns.planned = planned
	w.k.mu.Unlock()
	return w.WriteCloser.Write(p)
}
