package kernel_test

import (
	"archive/tar"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/kernel"
	"github.com/netns-verify/netns-verify/internal/kmod"
	"github.com/netns-verify/netns-verify/internal/kmod/kmodtest"
	"github.com/netns-verify/netns-verify/internal/unpack"
)

const release = "6.1.0-1-amd64"

func image(release string) []byte { return kmodtest.Image(release + " (us@here) #1 SMP today") }

func module(name, release string) []byte {
	return kmodtest.Module([]string{"name=" + name, "vermagic=" + release + " SMP"}, "register_net_sysctl")
}

func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func moduleNames(k *kernel.Kernel) string {
	var names []string
	for _, m := range k.Modules.All() {
		names = append(names, m.Name)
	}
	return strings.Join(names, " ")
}

func TestFromFiles(t *testing.T) {
	dir := t.TempDir()
	file := write(t, dir+"/bzImage", image(release))
	modules := dir + "/root/lib/modules"
	write(t, modules+"/"+release+"/kernel/net/a.ko", module("a", release))
	write(t, modules+"/6.2/kernel/net/b.ko", module("b", "6.2"))
	write(t, dir+"/loose/c.ko.gz", kmodtest.Pack("gz", module("c", release)))
	for modulesDir, want := range map[string]string{
		"": "", dir + "/root": "a", modules: "a", modules + "/" + release: "a", dir + "/loose": "c",
	} {
		k, err := kernel.FromFiles(t.Context(), file, modulesDir)
		if err != nil {
			t.Errorf("%s: %v", modulesDir, err)
			continue
		}
		if k.Name != release || k.Release != release || k.Arch != "amd64" || !strings.HasSuffix(k.Version, "#1 SMP today") {
			t.Errorf("got %+v", k)
		}
		if got := moduleNames(k); got != want {
			t.Errorf("%s: modules %q, want %q", modulesDir, got, want)
		}
		at, err := k.WriteImage(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if data, err := os.ReadFile(at); err != nil || string(data) != string(image(release)) {
			t.Errorf("the image is not written as it was: %v", err)
		}
	}
}

// TestImages: what an image says of itself, if anything.
func TestImages(t *testing.T) {
	arm := make([]byte, 64)
	copy(arm[0x38:], "ARM\x64")
	i386 := image("6.1-686")
	i386[0x236] = 0
	unended := kmodtest.Image("6.1")
	unended = unended[:len(unended)-1]
	for name, c := range map[string]struct {
		data                []byte
		name, release, arch string
	}{
		"arm64":              {arm, "k", "", "arm64"},
		"386":                {i386, "6.1-686", "6.1-686", "386"},
		"version not ended":  {unended, "k", "", "amd64"},
		"version is binary":  {kmodtest.Image("6.\x01"), "k", "", "amd64"},
		"version is outside": {kmodtest.Image("")[:0x238], "k", "", "amd64"},
	} {
		k, err := kernel.FromFiles(t.Context(), write(t, t.TempDir()+"/k", c.data), "")
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if k.Name != c.name || k.Release != c.release || k.Arch != c.arch {
			t.Errorf("%s: got %+v", name, k)
		}
	}
}

func mkfifo(t *testing.T, name string) string {
	t.Helper()
	if err := unix.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestFromFilesRefuses(t *testing.T) {
	dir := t.TempDir()
	good := write(t, dir+"/good", image(release))
	text := write(t, dir+"/text", []byte(strings.Repeat("no kernel ", 100)))
	huge := write(t, dir+"/huge", nil)
	if err := os.Truncate(huge, kernel.MaxImage+1); err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/others/b.ko", module("b", "6.2"))
	write(t, dir+"/odd/b.ko", []byte("text"))
	write(t, dir+"/none/b", nil)
	pipe := mkfifo(t, dir+"/pipe")
	write(t, dir+"/piped/a", nil)
	mkfifo(t, dir+"/piped/a.ko")
	for _, c := range []struct {
		file, modules string
		want          error
		names         string
	}{
		{text, "", kernel.ErrNotKernel, text},
		{"/dev/zero", "", kernel.ErrNotKernel, "/dev/zero"},
		{dir, "", kernel.ErrNotKernel, dir},
		{huge, "", unpack.ErrTooLarge, huge},
		{dir + "/nosuch", "", os.ErrNotExist, "nosuch"},
		{good, dir + "/nosuch", os.ErrNotExist, "nosuch"},
		{good, text, nil, text},
		{good, dir + "/none", nil, "none"},
		{good, dir + "/odd", kmod.ErrNotModule, "odd/b.ko"},
		{good, dir + "/others", kmod.ErrRelease, "others/b.ko"},
		{pipe, "", kernel.ErrNotKernel, pipe},
		{good, pipe, nil, pipe},
		{good, dir + "/piped", nil, "piped"},
	} {
		_, err := kernel.FromFiles(t.Context(), c.file, c.modules)
		if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.names) {
			t.Errorf("%s with %s: %v", c.file, c.modules, err)
		}
	}
}

func TestFromPackages(t *testing.T) {
	dir := t.TempDir()
	deb := func(name, compression string, files ...kmodtest.File) string {
		return write(t, filepath.Join(dir, name), kmodtest.Deb(compression, files...))
	}
	whole := deb("whole.deb", "gz",
		kmodtest.File{Name: "./boot/config-" + release, Data: []byte("CONFIG")},
		kmodtest.File{Name: "./boot/vmlinuz-" + release, Data: image(release)},
		kmodtest.File{Name: "./lib/modules/" + release + "/kernel/a.ko", Data: module("a", release)},
		kmodtest.File{Name: "./lib/modules/" + release + "/kernel/link.ko", Data: []byte("/etc/passwd"), Type: tar.TypeSymlink},
		kmodtest.File{Name: "./usr/lib/debug/lib/modules/" + release + "/kernel/d.ko", Data: []byte("not looked at")},
	)
	modules := deb("linux-modules.deb", "zst",
		kmodtest.File{Name: "usr/lib/modules/7.3-cloud/kernel/b.ko.zst", Data: kmodtest.Pack("zst", module("b", "7.3-cloud"))},
	)
	binary := deb("linux-binary.deb", "", kmodtest.File{Name: "./boot/vmlinuz-7.3-cloud", Data: image("7.3-cloud")})
	meta := deb("linux-image-7.3-cloud_7.3-1_amd64.deb", "gz")

	ks, err := kernel.FromPackages(t.Context(), meta, modules, whole, binary)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, k := range ks {
		got = append(got, k.Name+": "+moduleNames(k))
	}
	if want := "7.3-cloud: b, " + release + ": a"; strings.Join(got, ", ") != want {
		t.Errorf("got %q, want %q", got, want)
	}

	for name, c := range map[string]struct {
		files []string
		want  error
		says  string
	}{
		"modules alone":    {[]string{modules}, kernel.ErrNoKernel, "linux-modules.deb"},
		"nothing in it":    {[]string{meta}, kernel.ErrNoKernel, "linux-image-7.3"},
		"nothing to it":    {[]string{whole, meta}, kernel.ErrNoKernel, "linux-image-7.3"},
		"the same twice":   {[]string{whole, whole}, nil, "whole.deb: boot/vmlinuz-" + release},
		"no such file":     {[]string{dir + "/nosuch.deb"}, os.ErrNotExist, "nosuch.deb"},
		"a device":         {[]string{"/dev/zero"}, kernel.ErrPackage, "/dev/zero"},
		"a pipe":           {[]string{mkfifo(t, dir+"/pipe.deb")}, kernel.ErrPackage, "pipe.deb"},
		"a directory":      {[]string{dir}, kernel.ErrPackage, dir},
		"not a kernel":     {[]string{deb("odd.deb", "", kmodtest.File{Name: "boot/vmlinuz-1", Data: []byte("x")})}, kernel.ErrNotKernel, "odd.deb: boot/vmlinuz-1"},
		"another's name":   {[]string{deb("name.deb", "", kmodtest.File{Name: "boot/vmlinuz-1", Data: image("2")})}, nil, "name.deb"},
		"not a module":     {[]string{whole, deb("mod.deb", "", kmodtest.File{Name: "lib/modules/1/a.ko", Data: []byte("x")})}, kmod.ErrNotModule, "mod.deb: lib/modules/1/a.ko"},
		"not a package":    {[]string{write(t, dir+"/text.deb", []byte(strings.Repeat("text", 100)))}, kernel.ErrPackage, "text.deb"},
		"an empty file":    {[]string{write(t, dir+"/empty.deb", nil)}, kernel.ErrPackage, "empty.deb"},
		"another archive":  {[]string{write(t, dir+"/lib.deb", kmodtest.Ar(kmodtest.File{Name: "x.o"}))}, kernel.ErrPackage, "lib.deb"},
		"other compressed": {[]string{write(t, dir+"/lzma.deb", kmodtest.Ar(kmodtest.File{Name: "debian-binary"}, kmodtest.File{Name: "data.tar.lzma"}))}, nil, "lzma"},
	} {
		_, err := kernel.FromPackages(t.Context(), c.files...)
		if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAddModule(t *testing.T) {
	dir := t.TempDir()
	k, err := kernel.FromFiles(t.Context(), write(t, dir+"/bzImage", image(release)), "")
	if err != nil {
		t.Fatal(err)
	}
	huge := write(t, dir+"/huge.ko", nil)
	if err := os.Truncate(huge, kmod.MaxModule+1); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"/dev/zero", mkfifo(t, dir+"/pipe.ko"), huge, dir} {
		if err := k.AddModule(t.Context(), bad); !errors.Is(err, kmod.ErrNotModule) || !strings.Contains(err.Error(), bad) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if err := k.AddModule(t.Context(), write(t, dir+"/a.ko", module("a", release))); err != nil || moduleNames(k) != "a" {
		t.Errorf("%s, %v", moduleNames(k), err)
	}
}

// Reading ends when it is told to, wherever it is.
func TestEnded(t *testing.T) {
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(enough)
	dir := t.TempDir()
	file := write(t, dir+"/bzImage", image(release))
	write(t, dir+"/modules/a.ko", module("a", release))
	deb := write(t, dir+"/x.deb", kmodtest.Deb("gz", kmodtest.File{Name: "boot/vmlinuz-" + release, Data: image(release)}))
	if _, err := kernel.FromPackages(ctx, deb); !errors.Is(err, enough) {
		t.Errorf("a package: %v", err)
	}
	if _, err := kernel.FromFiles(ctx, file, ""); !errors.Is(err, enough) {
		t.Errorf("a kernel: %v", err)
	}
	k, err := kernel.FromFiles(t.Context(), file, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Modules.AddDir(ctx, os.DirFS(dir+"/modules"), "modules"); !errors.Is(err, enough) {
		t.Errorf("modules: %v", err)
	}
	if err := k.AddModule(ctx, dir+"/modules/a.ko"); !errors.Is(err, enough) {
		t.Errorf("a module: %v", err)
	}
}

// TestTruncatedPackage cuts a package everywhere.
func TestTruncatedPackage(t *testing.T) {
	for _, compression := range []string{"", "gz", "zst"} {
		data := kmodtest.Deb(compression, kmodtest.File{Name: "boot/vmlinuz-" + release, Data: image(release)})
		file := t.TempDir() + "/cut.deb"
		for n := 0; n < len(data)-1; n += 7 {
			_, err := kernel.FromPackages(t.Context(), write(t, file, data[:n]))
			if !errors.Is(err, kernel.ErrPackage) || !strings.Contains(err.Error(), file) {
				t.Fatalf("%q: %d of %d bytes: %v", compression, n, len(data), err)
			}
		}
	}
}

// TestTooLargeInPackage: a size that a package only claims is refused before
// anything is read.
func TestTooLargeInPackage(t *testing.T) {
	for name, size := range map[string]int64{"boot/vmlinuz-1": kernel.MaxImage + 1, "lib/modules/1/a.ko": kmod.MaxModule + 1} {
		var data strings.Builder
		if err := tar.NewWriter(&data).WriteHeader(&tar.Header{Name: name, Size: size, Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		deb := kmodtest.Ar(kmodtest.File{Name: "debian-binary"}, kmodtest.File{Name: "data.tar", Data: []byte(data.String())})
		_, err := kernel.FromPackages(t.Context(), write(t, t.TempDir()+"/x.deb", deb))
		if !errors.Is(err, unpack.ErrTooLarge) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzFromPackages(f *testing.F) {
	for _, compression := range []string{"", "gz", "zst"} {
		f.Add(kmodtest.Deb(compression,
			kmodtest.File{Name: "./boot/vmlinuz-" + release, Data: image(release)},
			kmodtest.File{Name: "./lib/modules/" + release + "/a.ko", Data: module("a", release)}))
	}
	f.Add([]byte("!<arch>\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file := write(t, t.TempDir()+"/x.deb", data)
		ks, err := kernel.FromPackages(t.Context(), file)
		switch {
		case err != nil && !strings.Contains(err.Error(), file):
			t.Errorf("%v does not name the file", err)
		case err == nil && len(ks) == 0:
			t.Error("no kernel and no error")
		}
		for _, k := range ks {
			k.Modules.Manifest()
		}
	})
}
