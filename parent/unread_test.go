package parent

import (
	"context"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// A key whose value is not known, to the writer or to whoever has to put the host back,
// is not written.
func TestUnread(t *testing.T) {
	const key = sysctl.Key("net/core/k")
	for name, tt := range map[string]struct {
		host, child syscall.Errno
		mode        fs.FileMode
		verdict     report.Verdict
		why         report.Reason
		note        string
		written     bool
	}{
		"read by all":             {verdict: report.VerdictIsolated, written: true},
		"longer than a page":      {host: syscall.EFBIG, child: syscall.EFBIG, verdict: report.VerdictUntested, why: report.ReasonUnobserved, note: "fresh namespace cannot be read (EFBIG: longer than a page)"},
		"longer on the host":      {host: syscall.EFBIG, verdict: report.VerdictUntested, why: report.ReasonUnobserved, note: "the host's value cannot be read (EFBIG"},
		"refused to the writer":   {child: syscall.EACCES, verdict: report.VerdictUntested, why: report.ReasonUnobserved, note: "fresh namespace cannot be read (EACCES)"},
		"hidden on the host":      {host: syscall.EACCES, verdict: report.VerdictUntested, why: report.ReasonUnobserved, written: true},
		"not set yet":             {host: syscall.EIO, child: syscall.EIO, verdict: report.VerdictUntested, why: report.ReasonRefused, written: true},
		"write-only":              {host: syscall.EACCES, child: syscall.EACCES, mode: 0o200, verdict: report.VerdictWriteOnly, written: true},
		"the host has no such":    {host: syscall.ENOENT, verdict: report.VerdictIsolated, written: true},
		"an error of the handler": {host: syscall.EINVAL, child: syscall.EINVAL, verdict: report.VerdictUntested, why: report.ReasonUnobserved, note: "(EINVAL)"},
	} {
		t.Run(name, func(t *testing.T) {
			var k *fakeKernel
			written := false
			k = newFake(map[sysctl.Key]handler{key: {
				mode: tt.mode,
				read: func(opener, _ *space, key sysctl.Key) sysctl.State {
					errno := tt.child
					if opener == k.host {
						errno = tt.host
					}
					if errno != 0 {
						return sysctl.State{Errno: errno}
					}
					return sysctl.State{Value: opener.values[key]}
				},
				write: func(opener, _ *space, key sysctl.Key, v string) error {
					written = true
					opener.values[key] = v
					return nil
				},
			}})
			r, err := Run(context.Background(), k, Options{Logger: zerolog.Nop()})
			if err != nil {
				t.Fatal(err)
			}
			var v report.Key
			for _, of := range r.Keys {
				if of.Key == string(key) {
					v = of
				}
			}
			if v.Verdict != tt.verdict || v.UntestedReason != tt.why || !strings.Contains(v.Note, tt.note) || (tt.note == "") != (v.Note == "") || written != tt.written {
				t.Errorf("%s (%s: %q), written: %v; want %+v", v.Verdict, v.UntestedReason, v.Note, written, tt)
			}
		})
	}
}
