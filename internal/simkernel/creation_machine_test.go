package simkernel

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/child"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/netns"
	"github.com/netns-verify/netns-verify/protocol"
)

// values is what one namespace has.
type values map[sysctl.Key]string

// inheritKey is a key of a family: what new namespaces have of it.
type inheritKey struct {
	host, child string // at first; no value: absent
	childMode   fs.FileMode
	shared      bool
	// birth is the value in a new namespace, of which self has what comes before it
	// in the list, if it has one; nil for child.
	birth func(host, creator, self values) string
	// once takes no second value; onceEach none in each namespace but the host.
	once, onceEach bool
	// most is the largest value that it takes, if not 0.
	most int
	// resets is a key that has its first value again whenever this one is written.
	resets sysctl.Key
	// restless moves whenever the host is listed.
	restless bool
	// leaksTo is the host's key that gets leaked, late, when a namespace writes this one.
	leaksTo sysctl.Key
	late    time.Duration
}

// leaked is that value.
const leaked = "777"

// family is a machine of which only that is simulated that a namespace has from
// others, and leaks that come late.
type family struct {
	names []sysctl.Key // in the order of birth
	keys  map[sysctl.Key]inheritKey
	modes int // of devconf_inherit_init_net

	mu       sync.Mutex
	host     values
	explicit map[sysctl.Key]bool // device keys of the host that do not follow default any more
	written  map[sysctl.Key]int  // how often on the host
	lists    int
	live     int
	starts   int
	started  func(n int) // may be nil
}

// hostMark is in the host's values and in no others.
const hostMark sysctl.Key = ""

const devconfKey = "net/core/devconf_inherit_init_net"

func newFamily(modes int) *family {
	return &family{
		keys: map[sysctl.Key]inheritKey{}, host: values{}, modes: modes,
		explicit: map[sysctl.Key]bool{}, written: map[sysctl.Key]int{},
	}
}

func (f *family) add(name sysctl.Key, k inheritKey) {
	if k.childMode == 0 {
		k.childMode = 0o644
	}
	f.names = append(f.names, name)
	f.keys[name] = k
	if k.host != "" {
		f.host[name] = k.host
	}
}

// bear makes what a new namespace has. The caller holds the lock.
func (f *family) bear(creator values) values {
	self := values{}
	for _, name := range f.names {
		k := f.keys[name]
		switch {
		case k.child == "":
		case k.birth != nil:
			if v := k.birth(f.host, creator, self); v != "" {
				self[name] = v
			}
		default:
			self[name] = k.child
		}
	}
	return self
}

// kin is the tree of one namespace.
type kin struct {
	f     *family
	is    values
	wrote map[sysctl.Key]bool
}

var _ child.Fertile = kin{}

func (t kin) onHost() bool { _, ok := t.is[hostMark]; return ok }

func (t kin) List() ([]sysctl.Key, error) {
	t.f.mu.Lock()
	defer t.f.mu.Unlock()
	if t.onHost() {
		t.f.lists++
	}
	keys := slices.Sorted(maps.Keys(t.is))
	return slices.DeleteFunc(keys, func(k sysctl.Key) bool { return k == hostMark }), nil
}

func (t kin) Mode(k sysctl.Key) (fs.FileMode, error) {
	if t.Read(k) == sysctl.Absent {
		return 0, pathError("stat", k, syscall.ENOENT)
	}
	if t.onHost() {
		return 0o644, nil
	}
	return t.f.keys[k].childMode, nil
}

func (t kin) Read(k sysctl.Key) sysctl.State {
	t.f.mu.Lock()
	defer t.f.mu.Unlock()
	v, ok := t.is[k]
	switch {
	case !ok:
		return sysctl.Absent
	case t.f.keys[k].shared:
		v = t.f.host[k]
	case t.f.keys[k].restless && t.onHost():
		v = strconv.Itoa(t.f.lists)
	}
	return sysctl.State{Value: v}
}

func (t kin) Write(k sysctl.Key, v string) error {
	mode, err := t.Mode(k)
	if err != nil || mode&0o222 == 0 {
		return cmpError(err, pathError("open", k, syscall.EACCES))
	}
	n, err := strconv.Atoi(v)
	t.f.mu.Lock()
	defer t.f.mu.Unlock()
	it := t.f.keys[k]
	if err != nil || n < 0 || k == devconfKey && n >= t.f.modes || it.most > 0 && n > it.most {
		return pathError("write", k, syscall.EINVAL)
	}
	if !t.onHost() {
		if it.onceEach && t.wrote[k] {
			return pathError("write", k, syscall.EPERM)
		}
		t.wrote[k] = true
		t.is[k] = v
		if t.is[it.resets] != "" {
			t.is[it.resets] = t.f.keys[it.resets].child
		}
		if it.leaksTo != "" && v != it.child {
			time.AfterFunc(it.late, func() {
				t.f.mu.Lock()
				defer t.f.mu.Unlock()
				t.f.host[it.leaksTo] = leaked
			})
		}
		return nil
	}
	if t.f.written[k]++; it.once && t.f.written[k] > 1 {
		return pathError("write", k, syscall.EPERM)
	}
	t.is[k] = v
	if t.is[it.resets] != "" {
		t.is[it.resets] = t.f.keys[it.resets].host
	}
	t.f.explicit[k] = true
	if before, after, ok := strings.Cut(string(k), "/default/"); ok { // devices follow
		if lo := sysctl.Key(before + "/lo/" + after); !t.f.explicit[lo] && t.is[lo] != "" {
			t.is[lo] = v
		}
	}
	return nil
}

func cmpError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

func (t kin) Keep() sysctl.Reader { return kinReader{t} }

type kinReader struct{ kin }

func (kinReader) Close() error { return nil }

// Offspring implements child.Fertile.
func (t kin) Offspring(pass func(*protocol.Entries) error) error {
	t.f.mu.Lock()
	born := kin{t.f, t.f.bear(t.is), map[sysctl.Key]bool{}}
	t.f.mu.Unlock()
	s, err := sysctl.Survey(born, born.Keep())
	if err != nil {
		return err
	}
	m := &protocol.Entries{}
	for _, e := range s {
		m.Entries = append(m.Entries, protocol.Entry{Key: protocol.Bytes(e.Key), Mode: uint32(e.Mode), State: protocol.FromState(e.State)})
	}
	return pass(m)
}

// Host implements netns.Machine.
func (f *family) Host() sysctl.Tree {
	f.host[hostMark] = ""
	return kin{f: f, is: f.host}
}

func (f *family) NFLog() string               { return "" }
func (f *family) Drain(context.Context) error { return nil }

// Start implements netns.Machine.
func (f *family) Start(ctx context.Context, _ netns.Role) (*netns.Process, error) {
	f.mu.Lock()
	f.starts++
	n := f.starts
	f.mu.Unlock()
	if f.started != nil {
		f.started(n)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	f.mu.Lock()
	tree := kin{f, f.bear(f.host), map[sysctl.Key]bool{}}
	f.live++
	f.mu.Unlock()
	requests, toChild := io.Pipe()
	replies, toParent := io.Pipe()
	ended := make(chan struct{})
	var err error
	go func() {
		hello := protocol.Hello{Version: protocol.Version, Build: build, PID: noProcess + n, NetNS: uint64(n)}
		err = child.Serve(tree, hello, requests, toParent, zerolog.Nop())
		_ = requests.Close() // never fails, nor does the other
		_ = toParent.Close()
		f.mu.Lock()
		f.live--
		f.mu.Unlock()
		close(ended)
	}()
	return &netns.Process{
		Requests: toChild, Replies: replies, Build: build,
		Kill: func() { _ = toParent.Close(); _ = requests.Close() },
		Wait: func() error {
			<-ended
			if errors.Is(err, io.ErrClosedPipe) {
				return errKilled
			}
			return err
		},
	}, nil
}
