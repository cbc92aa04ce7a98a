package sysctl

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// fixture makes a tree of plain files.
func fixture(t *testing.T, files map[string]string) *Proc {
	t.Helper()
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "net"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, value := range files {
		put(t, root, name, value)
	}
	return NewProc(root)
}

func put(t *testing.T, root, name, value string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(value), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestReadWhole(t *testing.T) {
	for _, value := range []string{
		"", "x", "two\nlines", "\xff\x00\xfe", "tab\t1", " ",
		strings.Repeat("a", 4095), strings.Repeat("b", 4096),
	} {
		p := fixture(t, map[string]string{"net/k": value + "\n"})
		kept := p.Keep()
		for _, got := range []State{p.Read("net/k"), kept.Read("net/k"), kept.Read("net/k")} {
			if got != (State{Value: value}) {
				t.Errorf("%d bytes came back as %d, errno %v", len(value), len(got.Value), got.Errno)
			}
		}
		if err := kept.Close(); err != nil {
			t.Error(err)
		}
	}
}

// What is longer than a page is no value, whatever reads it, and no write cuts it or
// makes it.
func TestNoValueIsLongerThanAPage(t *testing.T) {
	for _, size := range []int{4097, 8191, 8192, 10 << 20} {
		p := fixture(t, map[string]string{"net/k": strings.Repeat("c", size) + "\n", "net/short": "1\n"})
		kept := p.Keep()
		d, err := p.Open("net/k")
		if err != nil {
			t.Fatal(err)
		}
		for _, got := range []State{p.Read("net/k"), kept.Read("net/k"), d.Read()} {
			if got != (State{Errno: unix.EFBIG}) {
				t.Errorf("%d bytes came back as %d, errno %v", size, len(got.Value), got.Errno)
			}
		}
		if err := errors.Join(kept.Close(), d.Close()); err != nil {
			t.Error(err)
		}
		var pe *fs.PathError
		if err := p.Write("net/short", strings.Repeat("d", size)); !errors.Is(err, unix.EFBIG) || !errors.As(err, &pe) {
			t.Errorf("write of %d bytes: %v", size, err)
		}
		if got := p.Read("net/short"); got.Value != "1" {
			t.Errorf("after a write of %d bytes that was refused: %+v", size, got)
		}
	}
}

func TestFailuresAreStates(t *testing.T) {
	p := fixture(t, map[string]string{"net/d/x": "1\n"})
	if got := p.Read("net/none"); got != Absent {
		t.Errorf("a missing key reads as %+v", got)
	}
	if got := p.Read("net/d"); got.Errno != unix.EISDIR {
		t.Errorf("a directory reads as %+v", got)
	}
	err := p.Write("net/none", "1")
	var pe *fs.PathError
	if !errors.Is(err, unix.ENOENT) || !errors.As(err, &pe) || pe.Op != "open" {
		t.Errorf("write to a missing key: %v", err)
	}
	if _, err := os.Stat(p.root + "/net/none"); err == nil {
		t.Error("a write created a key")
	}
}

func TestWriteReplaces(t *testing.T) {
	p := fixture(t, map[string]string{"net/k": "a long value\n"})
	if err := p.Write("net/k", "1"); err != nil {
		t.Fatal(err)
	}
	if got := p.Read("net/k"); got.Value != "1" {
		t.Errorf("read back %q", got.Value)
	}
}

func TestSurvey(t *testing.T) {
	p := fixture(t, map[string]string{"net/b/x": "1\n", "net/a": "2\n", "net/b.c/x": "3\n"})
	if err := os.Chmod(p.root+"/net/a", 0o200); err != nil {
		t.Fatal(err)
	}
	s, err := Survey(p, p.Keep())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(s, func(a, b Entry) int { return strings.Compare(string(a.Key), string(b.Key)) }) || len(s) != 3 {
		t.Fatalf("survey is %+v", s)
	}
	m := s.Map()
	if a := m["net/a"]; a.Mode != 0o200 || a.Readable() || !a.Writable() || a.State.OK() {
		t.Errorf("write-only key: %+v", a)
	}
	if x := m["net/b.c/x"]; x.State.Value != "3" || x.Mode != 0o644 || x.Secret() {
		t.Errorf("plain key: %+v", x)
	}
}

// TestSweepFindsEverything changes a tree at random and compares a sweep with
// the truth.
func TestSweepFindsEverything(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, seed))
			p := fixture(t, nil)
			truth := map[Key]State{}
			for i := range 20 {
				k := Key(fmt.Sprintf("net/d%d/k%d", i%3, i))
				put(t, p.root, string(k), "0\n")
				truth[k] = State{Value: "0"}
			}
			s, err := NewSweeper(p)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			for range 50 {
				want := map[Key]Change{}
				for range rng.IntN(5) {
					k := Key(fmt.Sprintf("net/d%d/k%d", rng.IntN(3), rng.IntN(25)))
					before := s.Expected(k)
					after := State{Value: fmt.Sprint(rng.IntN(3))}
					if rng.IntN(3) == 0 {
						after = Absent
						_ = os.Remove(p.root + "/" + string(k))
					} else {
						put(t, p.root, string(k), after.Value+"\n")
					}
					delete(want, k)
					if after != before {
						want[k] = Change{k, before, after}
					}
				}
				got, err := s.Sweep()
				if err != nil {
					t.Fatal(err)
				}
				if len(got) != len(want) {
					t.Fatalf("sweep found %+v, want %+v", got, want)
				}
				for _, c := range got {
					if want[c.Key] != c {
						t.Fatalf("sweep found %+v, want %+v", c, want[c.Key])
					}
					s.Expect(c.Key, c.After)
				}
			}
			if len(s.Baseline()) != len(truth) {
				t.Error("the baseline moved")
			}
		})
	}
}

// TestKeptWithinLimit reads more keys than there may be descriptors.
func TestKeptWithinLimit(t *testing.T) {
	p := fixture(t, nil)
	r := p.Keep().(*kept)
	r.room = 5
	for round := range 3 {
		for i := range 20 {
			k := Key(fmt.Sprintf("net/k%d", i))
			put(t, p.root, string(k), fmt.Sprintln(round))
			if got := r.Read(k); got.Value != fmt.Sprint(round) {
				t.Fatalf("read %+v in round %d", got, round)
			}
		}
	}
	if len(r.open) != 5 {
		t.Errorf("%d descriptors are kept, room was for 5", len(r.open))
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if got := r.Read("net/k1"); got.Value != "2" || len(r.open) != 0 {
		t.Errorf("after Close it reads %+v and keeps %d descriptors", got, len(r.open))
	}
}

// TestListBesideVanishing: a directory that goes while the tree is walked is
// left out, and what stays is complete.
func TestListBesideVanishing(t *testing.T) {
	p := fixture(t, nil)
	put(t, p.root, "net/core/stays", "1\n")
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			dir := p.root + "/net/conf/dev"
			_ = os.MkdirAll(dir, 0o755)
			_ = os.WriteFile(dir+"/key", []byte("1\n"), 0o644)
			_ = os.RemoveAll(p.root + "/net/conf")
		}
	}()
	for range 2000 {
		keys, err := p.List()
		if err != nil || !slices.Contains(keys, "net/core/stays") {
			t.Errorf("%v, %v", keys, err)
			break
		}
	}
	close(stop)
	<-stopped
}
