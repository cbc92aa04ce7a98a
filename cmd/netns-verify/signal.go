package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

// signalled is the cause of a context that a signal has cancelled.
type signalled struct{ syscall.Signal }

func (s signalled) Error() string { return "ended by " + unix.SignalName(s.Signal) }

// once is how long further signals count as the first one: timeout(1) sends SIGTERM to its
// command, and then to its group, which that is in.
const once = 20 * time.Millisecond

// untilSignal returns a context that the first of the signals that ask for an
// end cancels, with signalled as the cause. Of later ones a SIGINT or a SIGTERM closes hurry:
// who asks again does not want to wait. A SIGHUP does not: a terminal's end may send several.
// first says in the log what is being done before the end. stop gives signals their ordinary
// meaning again; those that came before it have been counted then.
func untilSignal(parent context.Context, log zerolog.Logger, first string) (ctx context.Context, hurry <-chan struct{}, stop func()) {
	hurried := make(chan struct{})
	hurryUp := sync.OnceFunc(func() { close(hurried) })
	ctx, cancel := context.WithCancelCause(parent)
	signals, done := make(chan os.Signal, 8), make(chan struct{})
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) { // nohup(1), or a shell's background job
			signal.Notify(signals, s)
		}
	}
	go func() {
		defer close(done)
		for s := range signals {
			sig, _ := s.(syscall.Signal) // there is no other kind (os/signal)
			what := "already stopping"
			switch {
			case ctx.Err() == nil:
				cancel(signalled{sig})
				passOver(signals)
				what = "stopping"
			case sig != syscall.SIGHUP:
				hurryUp()
				what = "hurrying"
			}
			log.Warn().Str("signal", unix.SignalName(sig)).Msg(what + first)
		}
	}()
	return ctx, hurried, sync.OnceFunc(func() {
		signal.Stop(signals) // none comes any more
		close(signals)
		<-done
		cancel(nil)
	})
}

// passOver takes what comes together with the first signal.
func passOver(signals <-chan os.Signal) {
	for over := time.After(once); ; {
		select {
		case _, open := <-signals:
			if !open {
				return
			}
		case <-over:
			return
		}
	}
}
