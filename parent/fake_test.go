package parent

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/child"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/netns"
	"github.com/netns-verify/netns-verify/protocol"
)

// handler is a key's, of a kernel that a test makes up. Whose value it works on is
// opener's, normally; caller is another where a descriptor was passed on.
type handler struct {
	read  func(opener, caller *space, k sysctl.Key) sysctl.State
	write func(opener, caller *space, k sysctl.Key, v string) error
	// alive: a descriptor outlives its namespace.
	alive bool
	mode  fs.FileMode // 0: 0644
}

// space is a namespace: its values.
type space struct {
	values map[sysctl.Key]string
	passed chan sysctl.Handle
	dead   bool // its process has ended
	gone   bool // it is cleaned up
}

// fakeKernel is a Machine of a few keys.
type fakeKernel struct {
	mu       sync.Mutex
	host     *space
	handlers map[sysctl.Key]handler
	children []*space
	events   []string // writes through descriptors
	drainErr error
	noPass   bool
	room     int // for descriptors; 0: enough
	received int
	started  func(netns.Role)
	outlives int // the how manieth child outlives its end by an hour; 0: none
	stays    int // the how manieth child ends only when it is killed; 0: none
	refused  int // so many children, the first ones, are not started
}

func newFake(handlers map[sysctl.Key]handler) *fakeKernel {
	k := &fakeKernel{handlers: handlers, host: &space{values: map[sysctl.Key]string{}}}
	for key := range handlers {
		k.host.values[key] = "10"
	}
	return k
}

func (k *fakeKernel) Host() sysctl.Tree { return fakeTree{k, k.host} }
func (k *fakeKernel) NFLog() string     { return "" }

func (k *fakeKernel) Drain(context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range k.children {
		s.gone = s.gone || s.dead
	}
	return k.drainErr
}

func (k *fakeKernel) Start(_ context.Context, role netns.Role) (*netns.Process, error) {
	if k.started != nil {
		k.started(role)
	}
	s := &space{values: map[sysctl.Key]string{}, passed: make(chan sysctl.Handle, protocol.MaxPass)}
	k.mu.Lock()
	for key := range k.handlers {
		s.values[key] = "10"
	}
	k.children = append(k.children, s)
	n := len(k.children)
	pid := 1<<23 + n // beyond what a process may have (PID_MAX_LIMIT, linux/threads.h)
	k.mu.Unlock()
	if n <= k.refused {
		return nil, syscall.EAGAIN
	}
	requests, toChild := io.Pipe()
	replies, toParent := io.Pipe()
	done, killed := make(chan struct{}), make(chan struct{})
	kill := sync.OnceFunc(func() { close(killed) })
	go func() {
		defer close(done)
		_ = child.Serve(fakeTree{k, s}, protocol.Hello{Version: protocol.Version, PID: pid}, requests, toParent, zerolog.Nop())
		k.mu.Lock()
		s.dead = true
		k.mu.Unlock()
		_, _ = requests.Close(), toParent.Close()
	}()
	p := &netns.Process{
		Requests: toChild, Replies: replies,
		Kill: func() { kill(); _, _ = requests.Close(), toParent.Close() },
		Wait: func() error {
			if <-done; n == k.outlives {
				time.Sleep(time.Hour)
			}
			if n == k.stays {
				<-killed
			}
			return nil
		},
		Receive: func() (sysctl.Handle, error) {
			if k.received++; k.room > 0 && k.received > k.room {
				return nil, syscall.EMFILE
			}
			select {
			case h := <-s.passed:
				return h, nil
			default:
				return nil, errors.New("nothing was passed")
			}
		},
	}
	if k.noPass {
		p.Receive = nil
	}
	return p, nil
}

// fakeTree is a namespace's sysctls: a child.Passer.
type fakeTree struct {
	k *fakeKernel
	s *space
}

func (t fakeTree) List() ([]sysctl.Key, error) {
	return slices.Sorted(maps.Keys(t.k.handlers)), nil
}
func (t fakeTree) Mode(k sysctl.Key) (fs.FileMode, error) {
	return cmp.Or(t.k.handlers[k].mode, 0o644), nil
}
func (t fakeTree) Keep() sysctl.Reader { return fakeReader{t} }

func (t fakeTree) Read(key sysctl.Key) sysctl.State {
	return fakeHandle{t.k, t.s, t.s, key}.Read()
}

func (t fakeTree) Write(key sysctl.Key, v string) error {
	return fakeHandle{t.k, t.s, t.s, key}.Write(v)
}

func (t fakeTree) Pass(key sysctl.Key) (sysctl.State, error) {
	t.s.passed <- fakeHandle{t.k, t.s, t.k.host, key}
	return t.Read(key), nil
}

type fakeReader struct{ fakeTree }

func (fakeReader) Close() error { return nil }

// fakeHandle is a key that one namespace opened and another one uses.
type fakeHandle struct {
	k              *fakeKernel
	opener, caller *space
	key            sysctl.Key
}

func (h fakeHandle) Read() sysctl.State {
	h.k.mu.Lock()
	defer h.k.mu.Unlock()
	kind := h.k.handlers[h.key]
	switch {
	case h.opener.gone && !kind.alive:
		return sysctl.Absent
	case kind.read != nil:
		return kind.read(h.opener, h.caller, h.key)
	}
	return sysctl.State{Value: h.opener.values[h.key]}
}

func (h fakeHandle) Write(v string) error {
	h.k.mu.Lock()
	defer h.k.mu.Unlock()
	kind := h.k.handlers[h.key]
	if h.opener != h.caller {
		h.k.events = append(h.k.events, string(h.key)+"="+v)
	}
	if h.opener.gone && !kind.alive {
		return syscall.ENOENT
	}
	if kind.write != nil {
		return kind.write(h.opener, h.caller, h.key, v)
	}
	h.opener.values[h.key] = v
	return nil
}

func (h fakeHandle) Close() error { return nil }
