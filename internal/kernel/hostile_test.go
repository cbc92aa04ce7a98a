package kernel_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/netns-verify/netns-verify/internal/kernel"
	"github.com/netns-verify/netns-verify/internal/kmod/kmodtest"
	"github.com/netns-verify/netns-verify/internal/unpack"
)

// TestSparse: files that are only said to be large count as if they were.
func TestSparse(t *testing.T) {
	var data bytes.Buffer
	const size = 127 << 20
	for i := range 100 {
		// PAX's format 1.0: the map of what is there comes first, and here nothing is.
		body := make([]byte, 512)
		copy(body, fmt.Sprintf("1\n%d\n0\n", size))
		records := map[string]string{"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": fmt.Sprintf("usr/share/%d", i), "GNU.sparse.realsize": fmt.Sprint(size)}
		data.Write(rawPAX(records, body))
	}
	deb := kmodtest.Ar(kmodtest.File{Name: "debian-binary"}, kmodtest.File{Name: "data.tar.gz", Data: kmodtest.Pack("gz", data.Bytes())})
	if len(deb) > 20_000 {
		t.Errorf("a bomb of %d bytes", len(deb))
	}
	if _, err := kernel.FromPackages(t.Context(), write(t, t.TempDir()+"/x.deb", deb)); !errors.Is(err, unpack.ErrTooLarge) {
		t.Errorf("%v", err)
	}
}

// rawPAX is an entry that package tar reads and would not write.
func rawPAX(records map[string]string, body []byte) []byte {
	var text strings.Builder
	for k, v := range records {
		line := fmt.Sprintf(" %s=%s\n", k, v)
		n := len(line) + 2
		if n > 99 {
			n++
		}
		fmt.Fprintf(&text, "%d%s", n, line)
	}
	var out bytes.Buffer
	for _, e := range []struct {
		kind byte
		data []byte
	}{{'x', []byte(text.String())}, {'0', body}} {
		h := make([]byte, 512)
		copy(h, "file")
		copy(h[100:], "0000644\x000000000\x000000000\x00")
		copy(h[124:], fmt.Sprintf("%011o\x00%011o\x00", len(e.data), 0))
		h[156] = e.kind
		copy(h[257:], "ustar\x0000")
		copy(h[148:], "        ")
		sum := 0
		for _, b := range h {
			sum += int(b)
		}
		copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
		out.Write(h)
		out.Write(e.data)
		out.Write(make([]byte, (512-len(e.data)%512)%512))
	}
	return out.Bytes()
}

// TestNamesInPackages: a release is a plain name, and nothing that a package calls its
// files reaches a terminal as it is.
func TestNamesInPackages(t *testing.T) {
	for _, name := range []string{
		"boot/vmlinuz-../../etc/passwd", "lib/modules/../../x/a.ko", "boot/vmlinuz-\x1b]0;x\x07", "lib/modules/6 1/a.ko",
		"lib/modules/" + strings.Repeat("6", 70) + "/a.ko", "lib/modules/6.1/\x1b[2J/a.ko",
	} {
		deb := kmodtest.Deb("", kmodtest.File{Name: name, Data: image(release)})
		_, err := kernel.FromPackages(t.Context(), write(t, t.TempDir()+"/x.deb", deb))
		if err == nil || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%q: %q", name, err)
		}
	}
}

// TestReleaseIsNoPath: modules are looked for below the directory that was given, and
// nowhere else.
func TestReleaseIsNoPath(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/else/where/a.ko", module("a", ""))
	if err := os.Mkdir(dir+"/modules", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"../else/where (x) #1", "..", "."} {
		k, err := kernel.FromFiles(t.Context(), write(t, dir+"/k", kmodtest.Image(version)), dir+"/modules")
		if err == nil || !strings.Contains(err.Error(), "no modules in it") {
			t.Errorf("%s: %+v, %v", version, k, err)
		}
	}
}

// FuzzImage: what the beginning of a kernel says.
func FuzzImage(f *testing.F) {
	f.Add(kmodtest.Image("6.1.0 (us@here) #1 SMP today"))
	f.Add(kmodtest.Image("../x"))
	f.Add([]byte(strings.Repeat("\x00", 0x38) + "ARM\x64    "))
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := kernel.FromFiles(t.Context(), write(t, t.TempDir()+"/k", data), "")
		switch {
		case err != nil && !errors.Is(err, kernel.ErrNotKernel):
			t.Error(err)
		case err == nil && (strings.ContainsAny(k.Release, "/\x1b ") || k.Arch == ""):
			t.Errorf("%+v", k)
		}
	})
}
