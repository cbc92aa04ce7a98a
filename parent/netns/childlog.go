package netns

import (
	"encoding/json"

	"github.com/rs/zerolog"
)

// parseLogLine takes a child's log line apart: one of zerolog's keeps its level
// and fields, anything else (a Go crash, for instance) is a warning.
func parseLogLine(line []byte) (zerolog.Level, string, map[string]any) {
	var fields map[string]any
	if json.Unmarshal(line, &fields) != nil {
		return zerolog.WarnLevel, string(line), nil
	}
	name, _ := fields[zerolog.LevelFieldName].(string)
	level, err := zerolog.ParseLevel(name)
	if err != nil || level == zerolog.NoLevel {
		level = zerolog.WarnLevel
	}
	message, _ := fields[zerolog.MessageFieldName].(string)
	delete(fields, zerolog.LevelFieldName)
	delete(fields, zerolog.MessageFieldName)
	return level, message, fields
}
