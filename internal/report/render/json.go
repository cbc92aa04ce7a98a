package render

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/netns-verify/netns-verify/internal/report"
)

// JSON writes the report as one indented object and a newline.
func JSON(w io.Writer, r *report.Report, _ Options) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("write JSON report: %w", err)
	}
	return nil
}
