package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/netns-verify/netns-verify/internal/escape"
	"github.com/netns-verify/netns-verify/internal/report"
)

// JSON writes the report as one indented object and a newline.
func JSON(w io.Writer, r *report.Report, _ Options) error { return encode(w, r) }

// JSONAll writes several reports as an array of such objects.
func JSONAll(w io.Writer, rs []*report.Report, _ Options) error { return encode(w, rs) }

func encode(w io.Writer, v any) error {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	if err == nil {
		_, err = w.Write(escape.JSON(text.Bytes())) // it may go to a terminal
	}
	if err != nil {
		return fmt.Errorf("write JSON report: %w", err)
	}
	return nil
}
