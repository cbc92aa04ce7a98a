package testenv

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

type run func() int

func (r run) Run() int { return r() }

// TestTidy: what tests leave behind fails them.
func TestTidy(t *testing.T) {
	var after []func()
	keep := func(err error, end func()) int {
		if err != nil {
			t.Error(err)
		}
		after = append(after, end)
		return 0
	}
	for what, tests := range map[string]run{
		"": func() int { return 0 },
		"goroutine": func() int {
			stop := make(chan bool)
			go func() { <-stop }()
			return keep(nil, func() { close(stop) })
		},
		"open descriptors": func() int {
			f, err := os.Open("/")
			return keep(err, func() { _ = f.Close() })
		},
		"child process": func() int {
			cmd := exec.Command("cat")
			in, err := cmd.StdinPipe()
			if err == nil {
				err = cmd.Start()
			}
			return keep(err, func() { _, _ = in.Close(), cmd.Wait() })
		},
	} {
		var said strings.Builder
		status := tidy{tests, &said, 0}.Run()
		if (status != 0) != (what != "") || !strings.Contains(said.String(), what) {
			t.Errorf("%q: status %d, %s", what, status, said.String())
		}
		for _, end := range after {
			end()
		}
		after = nil
	}
	if status := (tidy{run(func() int { return 7 }), os.Stderr, 0}).Run(); status != 7 {
		t.Errorf("failed tests end with %d", status)
	}
}
