package kmod

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
)

// The package debug/elf is not made for files that want to do harm (its documentation
// says so): it makes a string of the name of each section and symbol, and each of
// millions may be as long as the table of names. Here names are only compared, and
// what is returned is a part of the file. Modules are of 64 bits, little-endian.

// object is a relocatable ELF file.
type object struct {
	data  []byte
	names []byte // of the sections
	all   []elf.Section64
}

var errBeyond = errors.New("it refers to what is beyond its end")

func newObject(data []byte) (*object, error) {
	var h elf.Header64
	if len(data) < len(h.Ident) || string(data[:4]) != elf.ELFMAG {
		return nil, errors.New("not an ELF file")
	}
	if elf.Class(data[elf.EI_CLASS]) != elf.ELFCLASS64 || elf.Data(data[elf.EI_DATA]) != elf.ELFDATA2LSB {
		return nil, errors.New("an ELF file for another kind of processor")
	}
	if _, err := binary.Decode(data, binary.LittleEndian, &h); err != nil {
		return nil, errBeyond
	}
	if elf.Type(h.Type) != elf.ET_REL || h.Shentsize != sectionSize {
		return nil, errors.New("not a relocatable ELF file")
	}
	o := &object{data: data}
	// A file of more sections than the header has room for says so in the first.
	count, names := uint64(h.Shnum), uint32(h.Shstrndx)
	if first, err := o.sections(h.Shoff, 1); err == nil && len(first) > 0 {
		if count == 0 {
			count = first[0].Size
		}
		if elf.SectionIndex(names) == elf.SHN_XINDEX {
			names = first[0].Link
		}
	}
	var err error
	if o.all, err = o.sections(h.Shoff, count); err != nil {
		return nil, fmt.Errorf("its sections: %w", err)
	}
	if o.names, err = o.content(names); err != nil {
		return nil, fmt.Errorf("the names of its sections: %w", err)
	}
	return o, nil
}

const (
	sectionSize = 64
	// maxSections is far above what the largest modules have.
	maxSections = 1 << 17
)

func (o *object) sections(at, count uint64) ([]elf.Section64, error) {
	if count > maxSections {
		return nil, fmt.Errorf("%d of them", count)
	}
	data, err := o.part(at, count*sectionSize)
	if err != nil {
		return nil, err
	}
	all := make([]elf.Section64, count)
	_, err = binary.Decode(data, binary.LittleEndian, all)
	return all, err
}

func (o *object) part(at, size uint64) ([]byte, error) {
	if end := uint64(len(o.data)); at > end || size > end-at {
		return nil, errBeyond
	}
	return o.data[at : at+size], nil
}

// content is what is in a section, as it is in the file.
func (o *object) content(index uint32) ([]byte, error) {
	if uint64(index) >= uint64(len(o.all)) {
		return nil, errBeyond
	}
	s := o.all[index]
	switch {
	case elf.SectionType(s.Type) == elf.SHT_NOBITS:
		return nil, nil
	case elf.SectionFlag(s.Flags)&elf.SHF_COMPRESSED != 0: // nobody does that to those that are read here
		return nil, errors.New("it is compressed")
	}
	return o.part(s.Off, s.Size)
}

// section is the content of the first section of a name; nil if there is none.
func (o *object) section(name string) ([]byte, error) {
	for i, s := range o.all {
		if isNamed(o.names, s.Name, name) {
			return o.content(uint32(i))
		}
	}
	return nil, nil
}

// isNamed tells that a name begins at an offset of a table of names.
func isNamed(table []byte, at uint32, name string) bool {
	return uint64(at) < uint64(len(table)) && bytes.HasPrefix(table[at:], append([]byte(name), 0))
}

// wanted calls visit with each symbol that the kernel is to provide and that is one
// of these, as often as it is there.
func (o *object) wanted(names map[string]bool, visit func(name string)) error {
	longest := 0
	for name := range names {
		longest = max(longest, len(name))
	}
	for _, s := range o.all {
		if elf.SectionType(s.Type) != elf.SHT_SYMTAB {
			continue
		}
		symbols, err := o.part(s.Off, s.Size)
		if err != nil {
			return err
		}
		table, err := o.content(s.Link)
		if err != nil {
			return err
		}
		for ; len(symbols) >= elf.Sym64Size; symbols = symbols[elf.Sym64Size:] {
			at := uint64(binary.LittleEndian.Uint32(symbols))
			section := elf.SectionIndex(binary.LittleEndian.Uint16(symbols[6:]))
			if section != elf.SHN_UNDEF || at >= uint64(len(table)) {
				continue
			}
			name, _, ended := bytes.Cut(table[at:min(at+uint64(longest)+1, uint64(len(table)))], []byte{0})
			if ended && names[string(name)] {
				visit(string(name))
			}
		}
		return nil // there is one
	}
	return nil
}
