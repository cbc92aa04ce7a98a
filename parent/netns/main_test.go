package netns

import (
	"os"
	"testing"

	"github.com/moby/sys/reexec"

	"github.com/netns-verify/netns-verify/child"
	"github.com/netns-verify/netns-verify/internal/testenv"
)

func init() { reexec.Register(child.DrainEntry, child.DrainMain) }

func TestMain(m *testing.M) {
	if reexec.Init() { // first, or a helper would run the tests
		return
	}
	testenv.NoExitSleep()
	os.Exit(testenv.Tidy(m).Run())
}
