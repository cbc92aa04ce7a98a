package restore

import (
	"os"
	"testing"

	"github.com/moby/sys/reexec"
	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/testenv"
)

const sleeperEntry = "test-sleeper"

func init() { reexec.Register(sleeperEntry, func() { _ = unix.Pause() }) }

func TestMain(m *testing.M) {
	if reexec.Init() { // first, or a helper would run the tests
		return
	}
	testenv.NoExitSleep()
	os.Exit(testenv.Tidy(m).Run())
}
