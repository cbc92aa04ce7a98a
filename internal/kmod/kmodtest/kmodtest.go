// Package kmodtest makes kernel modules and kernels' packages for tests: real
// files, as far as anybody looks who does not run them.
package kmodtest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// Module makes a .ko file with entries of .modinfo ("depends=a,b") that calls
// functions of the kernel.
func Module(info []string, calls ...string) []byte {
	modinfo := []byte(strings.Join(info, "\x00") + "\x00")
	strtab := []byte{0}
	symbols := []elf.Sym64{{}}
	for _, name := range calls {
		symbols = append(symbols, elf.Sym64{Name: uint32(len(strtab)), Info: byte(elf.STB_GLOBAL) << 4})
		strtab = append(append(strtab, name...), 0)
	}
	symtab := encode(symbols)
	names := "\x00.modinfo\x00.symtab\x00.strtab\x00.shstrtab\x00"
	at := func(name string) uint32 { return uint32(strings.Index(names, "\x00"+name+"\x00") + 1) }

	const header = 64
	body := new(bytes.Buffer)
	sections := []elf.Section64{{}}
	add := func(s elf.Section64, data []byte) {
		s.Off, s.Size, s.Addralign = uint64(header+body.Len()), uint64(len(data)), 1
		sections = append(sections, s)
		body.Write(data)
	}
	add(elf.Section64{Name: at(".modinfo"), Type: uint32(elf.SHT_PROGBITS)}, modinfo)
	add(elf.Section64{Name: at(".symtab"), Type: uint32(elf.SHT_SYMTAB), Link: 3, Entsize: elf.Sym64Size}, symtab)
	add(elf.Section64{Name: at(".strtab"), Type: uint32(elf.SHT_STRTAB)}, strtab)
	add(elf.Section64{Name: at(".shstrtab"), Type: uint32(elf.SHT_STRTAB)}, []byte(names))

	h := elf.Header64{
		Type: uint16(elf.ET_REL), Machine: uint16(elf.EM_X86_64), Version: 1, Ehsize: header,
		Shoff: uint64(header + body.Len()), Shentsize: 64, Shnum: uint16(len(sections)), Shstrndx: uint16(len(sections) - 1),
	}
	copy(h.Ident[:], "\x7fELF\x02\x01\x01")
	return bytes.Join([][]byte{encode(h), body.Bytes(), encode(sections)}, nil)
}

// Image makes the beginning of an x86 kernel that says its version.
func Image(version string) []byte {
	b := make([]byte, 0x400, 0x600)
	copy(b[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(b[0x20e:], 0x200)
	b[0x236] = 1
	return append(append(b, version...), 0)
}

// File is a file of a package.
type File struct {
	Name string
	Data []byte
	// Type is tar's; 0 means a regular file.
	Type byte
}

// Deb makes a Debian package whose files are compressed with gzip or zstd ("gz",
// "zst"), or not at all ("").
func Deb(compression string, files ...File) []byte {
	var plain bytes.Buffer
	t := tar.NewWriter(&plain)
	for _, f := range files {
		h := &tar.Header{Name: f.Name, Size: int64(len(f.Data)), Mode: 0o644, Typeflag: f.Type}
		if f.Type == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Typeflag == tar.TypeSymlink {
			h.Linkname, h.Size = string(f.Data), 0
		}
		must(t.WriteHeader(h))
		if h.Size > 0 {
			_, err := t.Write(f.Data)
			must(err)
		}
	}
	must(t.Close())
	name := "data.tar"
	if compression != "" {
		name += "." + compression
	}
	return Ar(
		File{Name: "debian-binary", Data: []byte("2.0\n")},
		File{Name: "control.tar.gz", Data: Pack("gz", []byte("odd"))},
		File{Name: name, Data: Pack(compression, plain.Bytes())},
	)
}

// Ar makes the archive around a package.
func Ar(members ...File) []byte {
	b := bytes.NewBufferString("!<arch>\n")
	for _, m := range members {
		fmt.Fprintf(b, "%-16s%-12d%-6d%-6d%-8o%-10d`\n", m.Name, 0, 0, 0, 0o100644, len(m.Data))
		b.Write(m.Data)
		if len(m.Data)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

// Pack compresses with gzip or zstd ("gz", "zst"), or not at all ("").
func Pack(compression string, data []byte) []byte {
	var b bytes.Buffer
	switch compression {
	case "gz":
		w := gzip.NewWriter(&b)
		_, err := w.Write(data)
		must(err)
		must(w.Close())
	case "zst":
		w, err := zstd.NewWriter(&b)
		must(err)
		_, err = w.Write(data)
		must(err)
		must(w.Close())
	default:
		return data
	}
	return b.Bytes()
}

func encode(v any) []byte {
	var b bytes.Buffer
	must(binary.Write(&b, binary.LittleEndian, v))
	return b.Bytes()
}

// must is for writing into memory, which does not fail.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
