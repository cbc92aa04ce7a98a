package initramfs

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/u-root/u-root/pkg/cpio"

	"github.com/netns-verify/netns-verify/internal/kmod"
	"github.com/netns-verify/netns-verify/internal/unpack"
)

// Where things are in the guest.
const (
	Init       = "/init"
	ModulesDir = "/modules"                    // with the files of the manifest's entries
	Manifest   = ModulesDir + "/manifest.json" // a kmod.Manifest
)

// ErrExecutable says that an executable cannot be a guest's init.
var ErrExecutable = errors.New("cannot be init in a guest")

// Contents is what goes into an archive.
type Contents struct {
	// Executable is a static ELF file.
	Executable []byte
	// Names are further absolute paths under which the guest has it, as links.
	Names []string
	// Files are further files, by absolute path.
	Files map[string][]byte
	// Modules may be nil: then there are no modules.
	Modules *kmod.Set
}

// MaxModules is how many bytes of modules an archive may have, more than most machines
// could boot with: a module may unpack to a thousand times what a package has of it.
const MaxModules = 1 << 30

// dirs are made for mounts and for what programs expect; devtmpfs and the like
// are not mounted by the kernel in an initramfs.
var dirs = []string{"dev", "etc", "modules", "proc", "root", "run", "sbin", "sys", "tmp", "var"}

// Write writes the archive, in the format that the kernel calls newc.
func Write(w io.Writer, in Contents) error {
	if err := Check(in.Executable); err != nil {
		return err
	}
	a := &archive{to: cpio.Newc.Writer(w)}
	for _, d := range dirs {
		a.put(cpio.Directory(d, 0o755))
	}
	// The kernel opens it for init's output before init can make any device.
	a.put(cpio.CharDev("dev/console", 0o600, 5, 1))
	a.put(file(Init, in.Executable, 0o755))
	for _, name := range slices.Sorted(slices.Values(in.Names)) {
		a.put(cpio.Symlink(name, Init))
	}
	for _, name := range slices.Sorted(maps.Keys(in.Files)) {
		a.put(file(name, in.Files[name], 0o644))
	}
	if in.Modules != nil {
		a.modules(in.Modules)
	}
	a.put(cpio.TrailerRecord)
	return a.err
}

// archive numbers what is put into it. After an error it does nothing.
type archive struct {
	to  cpio.RecordWriter
	n   uint64
	err error
}

func (a *archive) put(r cpio.Record) {
	if a.err != nil {
		return
	}
	a.n++
	r.Ino, r.NLink = a.n, 1
	if err := a.to.WriteRecord(cpio.MakeReproducible(r)); err != nil {
		a.err = fmt.Errorf("initramfs: %w", err)
	}
}

func (a *archive) modules(set *kmod.Set) {
	manifest := set.Manifest()
	data, err := manifest.Encode()
	if err != nil {
		a.err = fmt.Errorf("initramfs: %w", err)
		return
	}
	a.put(file(Manifest, data, 0o644))
	left := int64(MaxModules)
	for _, e := range manifest.Modules {
		if a.err != nil {
			return
		}
		if data, a.err = set.Content(e); a.err != nil {
			return
		}
		if left -= int64(len(data)); left < 0 {
			a.err = fmt.Errorf("initramfs: module %s: %w", e.Name, unpack.ErrTooLarge)
			return
		}
		a.put(file(ModulesDir+"/"+e.File, data, 0o644))
	}
}

func file(name string, data []byte, mode uint64) cpio.Record {
	return cpio.StaticRecord(data, cpio.Info{Name: name, Mode: cpio.S_IFREG | mode})
}

// Check tells whether an executable can run where there is nothing else. The
// error is ErrExecutable and says why not.
func Check(executable []byte) error {
	f, err := elf.NewFile(bytes.NewReader(executable))
	if err != nil {
		return fmt.Errorf("%w: not an ELF file: %w", ErrExecutable, err)
	}
	if f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN {
		return fmt.Errorf("%w: not an executable: %s", ErrExecutable, f.Type)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("%w: it is not static, it needs an interpreter (build it with CGO_ENABLED=0)", ErrExecutable)
		}
	}
	return nil
}
