package client

import (
	"errors"
	"fmt"
	"slices"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/protocol"
)

// Passed is a key as a child has opened it.
type Passed struct {
	Handle sysctl.Handle // nil where it could not be opened
	Err    error         // why
	Own    sysctl.State  // what the child itself read through it
}

func CloseAll(ps []Passed) {
	for _, p := range ps {
		if p.Handle != nil {
			_ = p.Handle.Close() // what was written is written
		}
	}
}

// ErrNoPassing is the error of a machine whose children cannot pass descriptors.
var ErrNoPassing = errors.New("no descriptors can be passed here")

// Pass has keys opened in the child and takes their descriptors, one for each,
// a key may be asked for twice. The caller closes them.
func (c *Client) Pass(keys []sysctl.Key) (all []Passed, err error) {
	if c.proc.Receive == nil {
		return nil, ErrNoPassing
	}
	for some := range slices.Chunk(keys, protocol.MaxPass) {
		m := &protocol.Pass{}
		for _, k := range some {
			m.Keys = append(m.Keys, protocol.Bytes(k))
		}
		got := 0
		err := c.call("pass", protocol.Request{Pass: m}, func(r protocol.Reply) error {
			if r.Passed == nil || got == len(some) || sysctl.Key(r.Passed.Key) != some[got] {
				return errors.New("an answer that is not the descriptor that was asked for")
			}
			got++
			p := Passed{Err: r.Passed.Error.Err(), Own: r.Passed.State.State()}
			if p.Err == nil {
				var err error
				if p.Handle, err = c.proc.Receive(); err != nil {
					return err
				}
			}
			all = append(all, p)
			return nil
		})
		if err == nil && got != len(some) {
			err = c.fail("pass", fmt.Errorf("%s to a request for %d", report.Plural(got, "answer"), len(some)))
		}
		if err != nil {
			CloseAll(all)
			return nil, err
		}
	}
	return all, nil
}
