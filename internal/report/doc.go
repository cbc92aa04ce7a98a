// Package report is the public report of a run: its types, their JSON names
// (additive changes only, see docs/report.md), and the verdicts. It shares no
// type with the private protocol. Rendering a report is below, in render.
//
// A report is a plain value: nothing here reads a sysctl, a clock or a file.
package report
