package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

// signalled is the cause of a context that a signal has cancelled.
type signalled struct{ syscall.Signal }

func (s signalled) Error() string { return "ended by " + unix.SignalName(s.Signal) }

// untilSignal returns a context that the first of the signals that ask for an
// end cancels, with signalled as the cause. Of later ones a SIGINT closes hurry: who
// presses Ctrl-C again does not want to wait. The others change nothing. first says
// in the log what is being done before the end. stop gives them their ordinary meaning again.
func untilSignal(parent context.Context, log zerolog.Logger, first string) (ctx context.Context, hurry <-chan struct{}, stop func()) {
	hurried := make(chan struct{})
	hurryUp := sync.OnceFunc(func() { close(hurried) })
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 8)
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) { // nohup(1), or a shell's background job
			signal.Notify(signals, s)
		}
	}
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case s := <-signals:
				sig, _ := s.(syscall.Signal) // there is no other kind (os/signal)
				what := "already stopping"
				switch {
				case ctx.Err() == nil:
					cancel(signalled{sig})
					what = "stopping"
				case sig == syscall.SIGINT:
					hurryUp()
					what = "hurrying"
				}
				log.Warn().Str("signal", unix.SignalName(sig)).Msg(what + first)
			}
		}
	}()
	return ctx, hurried, sync.OnceFunc(func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	})
}
