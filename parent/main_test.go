package parent

import (
	"os"
	"testing"

	"github.com/moby/sys/reexec"

	"github.com/netns-verify/netns-verify/child"
)

func init() { reexec.Register(child.DrainEntry, child.DrainMain) }

func TestMain(m *testing.M) {
	if reexec.Init() { // first, or a helper would run the tests
		return
	}
	// The race detector lets every process sleep for a second at its end.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE")); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
