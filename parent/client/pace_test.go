package client

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/netns"
	"github.com/netns-verify/netns-verify/parent/trace"
	"github.com/netns-verify/netns-verify/protocol"
)

// slow is a machine with one kind of child: after its hello, answer says all else.
type slow struct {
	netns.Machine
	answer func(*protocol.ChildConn)
}

func (s slow) Start(context.Context, netns.Role) (*netns.Process, error) {
	requests, toChild := io.Pipe()
	replies, toParent := io.Pipe()
	kill := sync.OnceFunc(func() { _, _ = requests.Close(), toParent.Close() })
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		conn := protocol.NewConn[protocol.Request, protocol.Reply](requests, toParent)
		if conn.Send(protocol.Reply{Hello: &protocol.Hello{Version: protocol.Version, PID: 1}}) == nil {
			s.answer(conn)
		}
	}()
	return &netns.Process{Requests: toChild, Replies: replies, Kill: kill, Wait: func() error { <-ended; return nil }}, nil
}

// A child may take any time, as long as it says something; one that is silent is given up,
// the later the slower the machine was until then.
func TestSilence(t *testing.T) {
	const least = 30 * time.Second
	written := protocol.Write{Key: protocol.Bytes("net/a"), Value: protocol.Bytes("1")}
	for name, tc := range map[string]struct {
		before  time.Duration // that a survey took
		silence time.Duration // before each of 20 messages
		wait    time.Duration // in the end
		fails   bool
	}{
		"it says something all the time":    {0, 29 * time.Second, 29 * time.Second, false},
		"it hangs in the middle":            {0, 29 * time.Second, 31 * time.Second, true},
		"it is silent on a slow machine":    {10 * time.Second, 4 * time.Minute, 4 * time.Minute, false},
		"it hangs on a slow machine":        {10 * time.Second, 0, 6 * time.Minute, true},
		"deadlines do not become endless":   {time.Hour, 0, 11 * time.Minute, true},
		"nothing is short on a fast one":    {time.Millisecond, 0, 29 * time.Second, false},
		"what hangs on a fast one is known": {time.Millisecond, 0, 31 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := slow{answer: func(conn *protocol.ChildConn) {
					if _, err := conn.Receive(); err != nil {
						return
					}
					for range 20 {
						time.Sleep(tc.silence)
						if conn.Send(protocol.Reply{Write: &written}) != nil {
							return
						}
					}
					time.Sleep(tc.wait)
					_ = conn.Send(protocol.Reply{Done: &protocol.Done{}}) // the parent may have given up
				}}
				p := NewPace(least)
				p.Note(StepSurvey, tc.before)
				c, err := Start(t.Context(), m, netns.RoleWriter, Config{Pace: p})
				if err != nil {
					t.Fatal(err)
				}
				_, err = c.writes("perturb", []sysctl.Key{"net/a"}, protocol.Request{Perturb: &protocol.Perturb{Items: []protocol.Item{}}}, func(trace.Write) bool { return true })
				if errors.Is(err, ErrDeadline) != tc.fails || err != nil != tc.fails {
					t.Errorf("%v", err)
				}
				if took := p.took["perturb"]; !tc.fails && took != max(tc.silence, tc.wait) {
					t.Errorf("the longest silence was %v", took)
				}
				c.Abandon()
			})
		})
	}
}
