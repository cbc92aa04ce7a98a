package main

import (
	"fmt"
	"io"
	"time"

	"github.com/rs/zerolog"
)

// logging says how to log; docs/logging.md explains the fields.
type logging struct{ format, least string }

// json tells which of the two forms it is, for a stderr that is a terminal or not.
func (l logging) json(terminal bool) bool {
	return l.format == "json" || l.format == "auto" && !terminal
}

// level is the least level to log. On a terminal the screen says how a run gets
// on, and only what is wrong is logged.
func (l logging) level(terminal bool) (zerolog.Level, error) {
	switch l.format {
	case "auto", "json", "console":
	default:
		return 0, fmt.Errorf("--log-format: unknown format %q: use one of auto, json, console", l.format)
	}
	switch {
	case l.least == "" && terminal && !l.json(terminal):
		return zerolog.WarnLevel, nil
	case l.least == "":
		return zerolog.InfoLevel, nil
	}
	switch level, err := zerolog.ParseLevel(l.least); {
	case err != nil, level < zerolog.TraceLevel, level > zerolog.ErrorLevel:
		return 0, fmt.Errorf("--log-level: unknown level %q: use one of trace, debug, info, warn, error", l.least)
	default:
		return level, nil
	}
}

// logger is the only one there is; whoever needs one gets a copy.
func (l logging) logger(w io.Writer, t terminal, runID string) (zerolog.Logger, error) {
	level, err := l.level(t.is)
	if err != nil {
		return zerolog.Nop(), err
	}
	zerolog.TimeFieldFormat = "2006-01-02T15:04:05.000Z07:00"
	if !l.json(t.is) {
		w = zerolog.ConsoleWriter{Out: w, NoColor: !t.color, TimeFormat: time.TimeOnly, FieldsExclude: forMachines()}
	}
	return zerolog.New(w).Level(level).With().Timestamp().Str("run_id", runID).Logger(), nil
}

// forMachines is the fields that the console leaves out: there, a leak is one
// line, and the report has the rest.
func forMachines() []string {
	return []string{"run_id", "cause", "effects", "rounds", "shams", "via"}
}
