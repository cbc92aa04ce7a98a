package vm

import (
	"os"
	"testing"

	"github.com/netns-verify/netns-verify/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Tidy(m).Run()) }
