package main

import (
	"fmt"
	"time"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// host is the machine's own sysctls as they were at first.
type host struct {
	sweeper  *sysctl.Sweeper
	restless map[sysctl.Key]bool
}

// idle is how long nothing is done, to find what moves by itself: the slowest of the
// planted keys does each 3 s.
const (
	idle      = 8 * time.Second
	idleLooks = 40
)

func findHost() (*host, error) {
	s, err := sysctl.NewSweeper(sysctl.NewProc(sysctl.ProcRoot))
	if err != nil {
		return nil, err
	}
	h := &host{sweeper: s, restless: map[sysctl.Key]bool{}}
	for range idleLooks {
		time.Sleep(idle / idleLooks)
		changes, err := s.Sweep()
		if err != nil {
			return nil, err
		}
		for _, c := range changes {
			h.restless[c.Key] = true
		}
	}
	return h, nil
}

// off is what is not as it was at first.
func (h *host) off() (off []string) {
	changes, err := h.sweeper.Sweep()
	if err != nil {
		return []string{err.Error()}
	}
	for _, c := range changes {
		if !h.restless[c.Key] {
			off = append(off, fmt.Sprintf("the host's %s was %+v and is %+v", c.Key, c.Before, c.After))
		}
	}
	return off
}
