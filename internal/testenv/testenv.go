// Package testenv tells tests what this machine can do. Where a feature is
// missing the test is skipped, or fails if NETNS_VERIFY_REQUIRE (a list such as
// "netns,vm") says that the feature must be there. Only tests import it.
package testenv

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// RequireVariable lists the features that must not be missing.
const RequireVariable = "NETNS_VERIFY_REQUIRE"

// NeedNetNS skips the test where no network namespace can be made.
func NeedNetNS(t testing.TB) {
	t.Helper()
	need(t, "netns", "a network namespace cannot be made", tryNetNS())
}

// need skips the test where a feature is missing, or fails it if it must not be.
func need(t testing.TB, feature, what string, err error) {
	t.Helper()
	switch {
	case err == nil:
	case Required(feature):
		t.Fatalf("%s lists %s, but %s: %v", RequireVariable, feature, what, err)
	default:
		t.Skipf("%s: %v", what, err)
	}
}

// NeedUserNS skips the test where no user namespace can be made with a network
// namespace of its own in it.
func NeedUserNS(t testing.TB) {
	t.Helper()
	need(t, "userns", "a user namespace cannot be made", try(unix.CLONE_NEWUSER|unix.CLONE_NEWNET))
}

// HaveNetNS is NeedNetNS for the conditions of testscript: a missing feature
// that is required is an error.
func HaveNetNS() (bool, error) {
	err := tryNetNS()
	if err != nil && Required("netns") {
		return false, fmt.Errorf("%s lists netns, but a network namespace cannot be made: %w", RequireVariable, err)
	}
	return err == nil, nil
}

func tryNetNS() error { return try(unix.CLONE_NEWNET) }

// try starts a program that does not exist in new namespaces: those are made
// first, so "not found" is the answer of a machine that can.
func try(flags uintptr) error {
	cmd := exec.Command("/nonexistent/netns-verify")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	if err := cmd.Run(); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Required tells whether the feature must not be missing.
func Required(feature string) bool {
	for f := range strings.SplitSeq(os.Getenv(RequireVariable), ",") {
		if strings.TrimSpace(f) == feature {
			return true
		}
	}
	return false
}

// NoExitSleep keeps processes with the race detector from sleeping for a second at
// their end: there are hundreds (https://go.dev/doc/articles/race_detector#Options).
func NoExitSleep() {
	if err := os.Setenv(raceVariable, "atexit_sleep_ms=0 "+os.Getenv(raceVariable)); err != nil {
		panic(err) // the name is sound
	}
}

const raceVariable = "GORACE"
