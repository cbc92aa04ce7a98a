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
	err := tryNetNS()
	switch {
	case err == nil:
	case Required("netns"):
		t.Fatalf("%s lists netns, but a network namespace cannot be made: %v", RequireVariable, err)
	default:
		t.Skipf("a network namespace cannot be made: %v", err)
	}
}

// NeedUserNS skips the test where no user namespace can be made with a network
// namespace of its own in it.
func NeedUserNS(t testing.TB) {
	t.Helper()
	err := try(unix.CLONE_NEWUSER | unix.CLONE_NEWNET)
	switch {
	case err == nil:
	case Required("userns"):
		t.Fatalf("%s lists userns, but a user namespace cannot be made: %v", RequireVariable, err)
	default:
		t.Skipf("a user namespace cannot be made: %v", err)
	}
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
