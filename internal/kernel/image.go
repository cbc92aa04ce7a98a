package kernel

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/netns-verify/netns-verify/internal/kmod"
)

// Where things are in an x86 boot sector (Documentation/arch/x86/boot.rst) and in
// an arm64 image (Documentation/arch/arm64/booting.rst).
const (
	x86Magic      = 0x202 // "HdrS"
	x86Version    = 0x20e // 16 bits: where the version string is, after the first 512 bytes
	x86LoadFlags  = 0x236 // 16 bits; bit 0: 64-bit entry point
	x86Header     = 0x238
	arm64Magic    = 0x38 // "ARM\x64"
	arm64Header   = 0x40
	maxVersionLen = 512
)

// newKernel looks at an image. The error is ErrNotKernel and names the file.
func newKernel(file, name string, image []byte) (*Kernel, error) {
	k := &Kernel{Name: name, image: image}
	switch {
	case len(image) >= x86Header && string(image[x86Magic:x86Magic+4]) == "HdrS":
		k.Arch = "386"
		if image[x86LoadFlags]&1 != 0 {
			k.Arch = "amd64"
		}
		k.Version = cString(image, 0x200+int(binary.LittleEndian.Uint16(image[x86Version:])))
		if release, _, _ := strings.Cut(k.Version, " "); isRelease(release) {
			k.Release = release
		}
	case len(image) >= arm64Header && string(image[arm64Magic:arm64Magic+4]) == "ARM\x64":
		k.Arch = "arm64"
	default:
		return nil, fmt.Errorf("%s: %w: neither an x86 bzImage nor an arm64 Image", file, ErrNotKernel)
	}
	if k.Release != "" {
		k.Name = k.Release
	}
	k.Modules = kmod.NewSet(k.Release)
	return k, nil
}

// isRelease tells that a text can be a kernel's release: it is the name of a directory,
// and is shown on terminals.
func isRelease(text string) bool {
	const most = 64 // __NEW_UTS_LEN
	return text != "" && text != "." && text != ".." && len(text) <= most && strings.Trim(text, releaseCharacters) == ""
}

const releaseCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+~-"

// cString is the text at an offset up to its NUL, or "" if there is none that can
// be shown.
func cString(data []byte, at int) string {
	if at >= len(data) {
		return ""
	}
	text, _, ended := bytes.Cut(data[at:min(at+maxVersionLen, len(data))], []byte{0})
	if !ended || bytes.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		return ""
	}
	return strings.TrimSpace(string(text))
}
