package main

import (
	"testing"
	"time"
)

func TestGuestTime(t *testing.T) {
	const up, phase, done = `{"time":"2026-01-02T03:04:05.250Z","message":"guest is up"}` + "\n",
		`{"time":"2026-01-02T03:04:59.000Z","message":"phase"}` + "\n", `{"time":"2026-01-02T03:04:07.500Z","message":"guest is done"}` + "\n"
	if d, err := guestTime([]byte(up + phase + done)); err != nil || d != 2250*time.Millisecond {
		t.Errorf("%v, %v", d, err)
	}
	for _, log := range []string{"", up, done, up + phase, up + "words\n" + done} {
		if d, err := guestTime([]byte(log)); err == nil {
			t.Errorf("%q: %v", log, d)
		}
	}
}

func TestNoKernel(t *testing.T) {
	m, err := measureMachines(t.Context(), options{kernels: t.TempDir()})
	if err != nil || m.none == nil {
		t.Errorf("%+v, %v", m, err)
	}
}
