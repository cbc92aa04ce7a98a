package simkernel

import (
	"errors"

	"github.com/netns-verify/netns-verify/child"
	"github.com/netns-verify/netns-verify/internal/sysctl"
)

var _ child.Passer = view{}

// Pass implements child.Passer: whoever uses the descriptor, it is the namespace
// of its opener that sees it.
func (v view) Pass(key sysctl.Key) (sysctl.State, error) {
	if _, err := v.Mode(key); err != nil {
		return sysctl.State{}, err
	}
	v.ns.passed <- handle{v, key}
	return v.Read(key), nil
}

// receive implements netns.Process.Receive.
func (ns *namespace) receive() (sysctl.Handle, error) {
	select {
	case h := <-ns.passed:
		return h, nil
	default:
		return nil, errors.New("nothing was passed")
	}
}

// handle is a key of a namespace in the hands of another.
type handle struct {
	v   view
	key sysctl.Key
}

func (h handle) Read() sysctl.State { return h.v.Read(h.key) }
func (h handle) Close() error       { return nil }

func (h handle) Write(value string) error {
	handled := func(is bool) {
		h.v.k.mu.Lock()
		defer h.v.k.mu.Unlock()
		h.v.ns.handled = is
	}
	handled(true)
	defer handled(false)
	return h.v.Write(h.key, value)
}
