package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/report/render"
	"github.com/netns-verify/netns-verify/parent"
)

// unwritten is the error of a report that could not be written where it was to go.
type unwritten struct {
	err  error
	kept string // where it is instead
	lost error  // why it is nowhere
}

func (e unwritten) Error() string {
	if e.lost != nil {
		return fmt.Sprintf("%v; the report is lost, as it could not be kept elsewhere: %v", e.err, e.lost)
	}
	return e.err.Error()
}

func (e unwritten) Unwrap() error { return e.err }

// write lays the reports out for where they go, and makes that count. Reports that
// cannot be written there are of runs that have failed, and go elsewhere.
func (s *session) write(out output, rs ...*report.Report) error {
	to := terminal{}
	if s.onTerminal() {
		to = s.out
	}
	text, err := s.layOut(to, rs)
	if err != nil {
		return err
	}
	if _, err = out.Write(text); err == nil {
		err = out.CloseAtomicallyReplace()
	}
	if err == nil {
		return nil
	}
	err = fmt.Errorf("write the report: %w", err)
	for _, r := range rs {
		r.Unwritten(withErrno(err))
	}
	kept, lost := s.elsewhere(rs)
	return unwritten{err, kept, lost}
}

func (s *session) layOut(to terminal, rs []*report.Report) ([]byte, error) {
	format, err := render.Find(s.f.format)
	if err != nil {
		return nil, err
	}
	if s.f.redact {
		if rs, err = redacted(rs); err != nil {
			return nil, err
		}
	}
	var text bytes.Buffer
	if len(rs) == 1 {
		err = format.Write(&text, rs[0], s.page(to))
	} else {
		err = format.WriteAll(&text, rs, s.page(to))
	}
	return text.Bytes(), err
}

// redacted is reports for others than this machine's owner.
func redacted(rs []*report.Report) ([]*report.Report, error) {
	var m report.Machine
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("redact the report: %w", err)
	}
	m.Hostnames = []string{host}
	devices, err := parent.HostDevices()
	if err != nil {
		return nil, fmt.Errorf("redact the report: %w", err)
	}
	for _, d := range devices {
		m.Devices = append(m.Devices, d.Name)
	}
	out := make([]*report.Report, len(rs))
	for i, r := range rs {
		out[i] = r.Redacted(m)
	}
	return out, nil
}

// elsewhere writes reports to stdout, if they were to go into a file and stdout takes
// them, else into a file of its own, and says where they are.
func (s *session) elsewhere(rs []*report.Report) (string, error) {
	if s.f.output != "" && !isNull(s.out.file) {
		text, err := s.layOut(s.out, rs)
		if err == nil {
			_, err = s.out.file.Write(text)
		}
		if err == nil {
			return "on stdout", nil
		}
	}
	text, err := s.layOut(terminal{}, rs)
	if err != nil {
		return "", err
	}
	return keep(text, s.f.format)
}

// keep writes what would be lost into a new file that only its owner can read: in the
// temporary directory or, where that is full, in memory. It says where it is.
func keep(text []byte, format string) (where string, err error) {
	for _, dir := range []string{os.TempDir(), "/dev/shm"} {
		f, cerr := os.CreateTemp(dir, name+"-report-*."+format)
		if cerr != nil {
			err = errors.Join(err, cerr)
			continue
		}
		_, werr := f.Write(text)
		if werr = errors.Join(werr, f.Close()); werr == nil {
			return "in " + f.Name(), nil
		}
		err = errors.Join(err, werr)
		_ = os.Remove(f.Name()) // it is not whole
	}
	return "", err
}
