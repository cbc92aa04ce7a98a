package main

import (
	"fmt"
	"io"
	"time"

	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/internal/escape"
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
	return newLogger(l.form(w, t), level, runID), nil
}

// form turns log lines, which are JSON, into what goes to w.
func (l logging) form(w io.Writer, t terminal) io.Writer {
	if l.json(t.is) {
		return escaped{w}
	}
	return zerolog.ConsoleWriter{
		Out: w, NoColor: !t.color, TimeFormat: time.TimeOnly, FieldsExclude: forMachines(),
		FormatPrepare: prepare, FormatFieldValue: func(v any) string { return escape.Line(fmt.Sprintf("%s", v)) },
	}
}

// escaped is for lines of JSON that may reach a terminal.
type escaped struct{ w io.Writer }

func (e escaped) Write(line []byte) (int, error) {
	if _, err := e.w.Write(escape.JSON(line)); err != nil {
		return 0, err
	}
	return len(line), nil
}

// prepare makes plain what is not quoted: the message, and names that a guest chose.
func prepare(event map[string]any) error {
	for name, v := range event {
		if plain := escape.Line(name); plain != name {
			delete(event, name)
			event[plain] = v
		}
	}
	for _, name := range []string{zerolog.MessageFieldName, zerolog.LevelFieldName, zerolog.TimestampFieldName} {
		if text, ok := event[name].(string); ok {
			event[name] = escape.Line(text)
		}
	}
	return nil
}

func newLogger(w io.Writer, level zerolog.Level, runID string) zerolog.Logger {
	zerolog.TimeFieldFormat = "2006-01-02T15:04:05.000Z07:00"
	return zerolog.New(w).Level(level).With().Timestamp().Str("run_id", runID).Logger()
}

// guestLogger is guest.Config's: its lines are given their form outside.
func guestLogger(w io.Writer, level, runID string) zerolog.Logger {
	l, err := zerolog.ParseLevel(level)
	if err != nil {
		l = zerolog.InfoLevel
	}
	return newLogger(w, l, runID)
}

// forMachines is the fields that the console leaves out: there, a leak is one
// line, and the report has the rest.
func forMachines() []string {
	return []string{"run_id", "cause", "effects", "rounds", "shams", "via"}
}
