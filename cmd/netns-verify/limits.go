package main

import (
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// abortOnFatal has what Go's runtime cannot go on from, such as the lack of memory or of
// threads, end this process by SIGABRT. It would exit with 2 otherwise, which is that of a
// wrong command line. No core is left of it, as that would have secrets in it: a limit of 1
// also keeps it from a program that takes them (core(5)).
func abortOnFatal() {
	debug.SetTraceback("crash")
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 1, Max: 1}) // if it is 0, it stays so
}
