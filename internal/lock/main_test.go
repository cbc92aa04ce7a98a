package lock

import (
	"os"
	"testing"

	"github.com/moby/sys/reexec"

	"github.com/netns-verify/netns-verify/internal/testenv"
)

func TestMain(m *testing.M) {
	if reexec.Init() { // first, or a helper would run the tests
		return
	}
	testenv.NoExitSleep()
	os.Exit(testenv.Tidy(m).Run())
}
