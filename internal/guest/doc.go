// Package guest is our binary as the first process of a machine that internal/vm
// made: it mounts what it needs, loads modules, listens to the kernel's messages,
// carries out its order (a run, by package parent), says over a serial port how
// it gets on, and powers the machine off.
//
// It takes that role only where it is told to twice: see Selected. Nothing here
// may be done to a machine that was not made for us.
package guest
