package kernel

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/netns-verify/netns-verify/internal/unpack"
)

// The archive around a package, ar, is so little that reading it here is less than
// the libraries for it, which are unkept or bring much with them.
const (
	arMagic  = "!<arch>\n"
	arHeader = 60 // name 16, time 12, owner 6, group 6, mode 8, size 10, "`\n"
)

// readDeb calls visit for each regular file of a Debian package, with its name
// below the root, such as "boot/vmlinuz-6.1.0", its size and its content, which ends
// there.
func readDeb(r io.Reader, visit func(name string, size int64, content io.Reader) error) error {
	magic := make([]byte, len(arMagic))
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != arMagic {
		return ErrPackage
	}
	for first := true; ; first = false {
		name, size, err := nextMember(r)
		switch {
		case errors.Is(err, io.EOF):
			return fmt.Errorf("%w: truncated: it has no data.tar", ErrPackage)
		case err != nil:
			return err
		case first && name != "debian-binary":
			return fmt.Errorf("%w: an archive that begins with %q", ErrPackage, name)
		}
		member := &io.LimitedReader{R: r, N: size}
		if strings.HasPrefix(name, "data.tar") {
			err := readTar(name, member, visit)
			// An archive that was cut off looks bad in many ways, or not at all.
			if _, rest := io.Copy(io.Discard, member); rest == nil && member.N > 0 {
				return fmt.Errorf("%w: truncated", ErrPackage)
			}
			return err
		}
		// Members begin at even offsets.
		if _, err := io.CopyN(io.Discard, r, size+size%2); err != nil {
			return fmt.Errorf("%w: truncated in %q", ErrPackage, name)
		}
	}
}

// nextMember reads the header of a member; io.EOF after the last.
func nextMember(r io.Reader) (name string, size int64, err error) {
	h := make([]byte, arHeader)
	switch _, err := io.ReadFull(r, h); {
	case errors.Is(err, io.EOF):
		return "", 0, io.EOF
	case err != nil:
		return "", 0, fmt.Errorf("%w: truncated", ErrPackage)
	}
	size, err = strconv.ParseInt(strings.TrimRight(string(h[48:58]), " "), 10, 64)
	if err != nil || size < 0 || !bytes.HasSuffix(h, []byte("`\n")) {
		return "", 0, fmt.Errorf("%w: a broken archive", ErrPackage)
	}
	return strings.TrimRight(strings.TrimRight(string(h[:16]), " "), "/"), size, nil
}

// readTar reads data.tar, whatever it is compressed with.
func readTar(name string, r io.Reader, visit func(string, int64, io.Reader) error) error {
	if ext := path.Ext(name); ext == ".lzma" || ext == ".bz2" {
		return fmt.Errorf("%s: only gzip, xz and zstd can be read", name)
	}
	plain, err := unpack.Reader(r, MaxPackage)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer plain.Close()
	t := tar.NewReader(plain)
	for total := int64(0); ; {
		h, err := t.Next()
		switch {
		case errors.Is(err, io.EOF):
			// The decoder checks its sums at its end.
			if _, err := io.Copy(io.Discard, plain); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", name, err)
		case h.Typeflag != tar.TypeReg:
			continue
		}
		// What a sparse file is said to have need not be in the archive.
		if h.Size > MaxPackage-total {
			return fmt.Errorf("%s: %w", name, unpack.ErrTooLarge)
		}
		total += h.Size
		if err := visit(strings.TrimPrefix(path.Clean("/"+h.Name), "/"), h.Size, t); err != nil {
			return err
		}
	}
}
