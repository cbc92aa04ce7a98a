package main

import (
	"fmt"
	"testing"
	"time"
)

func TestPhases(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	line := func(ms int, message, phase string) string {
		at := began.Add(time.Duration(ms) * time.Millisecond).Format("2006-01-02T15:04:05.000Z")
		return fmt.Sprintf(`{"time":%q,"message":%q,"phase":%q}`+"\n", at, message, phase)
	}
	log := line(1, "run started", "") + line(10, "phase", "survey") + line(30, "leak", "survey") + line(60, "phase", "report") + line(100, "run ended", "")
	var r runTimes
	for range 2 {
		if err := r.addPhases(process{began: began, took: 105 * time.Millisecond, log: []byte(log)}); err != nil {
			t.Fatal(err)
		}
	}
	want := []phaseTime{
		{"until the first phase", sample{0.01, 0.01}}, {"survey", sample{0.05, 0.05}},
		{"report", sample{0.04, 0.04}}, {"after the last event", sample{0.005, 0.005}},
	}
	if fmt.Sprint(r.phases) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", r.phases, want)
	}
	if err := r.addPhases(process{log: []byte("words\n")}); err == nil {
		t.Error("took words for a log")
	}
}
