package protocol

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// Error carries an error across the pipe so that errors.Is on the other side
// still finds the errno.
type Error struct {
	Op    string `json:"op,omitempty"`
	Path  string `json:"path,omitempty"`
	Errno uint   `json:"errno,omitempty"`
	// Message is for errors that have no errno, and for panics.
	Message string `json:"message,omitempty"`
}

// FromError takes an error apart; nil stays nil.
func FromError(err error) *Error {
	if err == nil {
		return nil
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		var n syscall.Errno
		if errors.As(pe.Err, &n) {
			return &Error{Op: pe.Op, Path: pe.Path, Errno: uint(n)}
		}
		return &Error{Op: pe.Op, Path: pe.Path, Message: pe.Err.Error()}
	}
	var n syscall.Errno
	if errors.As(err, &n) {
		return &Error{Errno: uint(n), Message: err.Error()}
	}
	return &Error{Message: err.Error()}
}

// Err rebuilds the error: an *fs.PathError over a syscall.Errno where it was one.
func (e *Error) Err() error {
	if e == nil {
		return nil
	}
	var inner error
	switch {
	case e.Errno != 0 && e.Message != "":
		inner = &messageError{e.Message, errno(e.Errno)}
	case e.Errno != 0:
		inner = errno(e.Errno)
	default:
		inner = errors.New(e.Message)
	}
	if e.Op == "" && e.Path == "" {
		return inner
	}
	return &fs.PathError{Op: e.Op, Path: e.Path, Err: inner}
}

// Number is the errno, 0 for no error and EIO for an error without one.
func (e *Error) Number() syscall.Errno { return sysctl.Errno(e.Err()) }

type messageError struct {
	text  string
	errno syscall.Errno
}

func (e *messageError) Error() string { return e.text }
func (e *messageError) Unwrap() error { return e.errno }

func errno(n uint) syscall.Errno { return syscall.Errno(n) }
