package unpack

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/mikelolasagasti/xz"
)

// ErrTooLarge says that there is more than the limit allows.
var ErrTooLarge = errors.New("unpacks to more than allowed")

// maxWindow is how far back, in bytes, a compressed stream may refer. It is the
// memory that a decoder takes: xz -9 and zstd --ultra need this much.
const maxWindow = 64 << 20

// format is a compression and how files in it begin.
type format struct {
	magic string
	open  func(io.Reader) (io.ReadCloser, error)
}

var formats = []format{
	{"\x1f\x8b", func(r io.Reader) (io.ReadCloser, error) { return gzip.NewReader(r) }},
	{"\xfd7zXZ\x00", func(r io.Reader) (io.ReadCloser, error) {
		x, err := xz.NewReader(r, maxWindow)
		return io.NopCloser(x), err
	}},
	{"\x28\xb5\x2f\xfd", func(r io.Reader) (io.ReadCloser, error) {
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	}},
}

// Reader gives r's content: uncompressed if it begins like gzip, xz or zstd,
// else as it is. Reading fails with ErrTooLarge after limit bytes, and with
// io.ErrUnexpectedEOF or the decoder's error if r ends too early. Close gives
// the decoder's memory back and leaves r alone.
func Reader(r io.Reader, limit int64) (io.ReadCloser, error) {
	b := bufio.NewReader(r)
	for _, f := range formats {
		// What cannot be peeked at is shorter than any of them, or reading says why.
		if start, _ := b.Peek(len(f.magic)); string(start) != f.magic {
			continue
		}
		d, err := f.open(b)
		if err != nil {
			return nil, fmt.Errorf("unpack: %w", err)
		}
		return &limited{d, limit}, nil
	}
	return &limited{io.NopCloser(b), limit}, nil
}

// Bytes is Reader for what is in memory. Data that is not compressed comes back
// as it is, not copied.
func Bytes(data []byte, limit int64) ([]byte, error) {
	if !Compressed(data) {
		if int64(len(data)) > limit {
			return nil, ErrTooLarge
		}
		return data, nil
	}
	r, err := Reader(bytes.NewReader(data), limit)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// Compressed tells whether data begins like one of the compressions.
func Compressed(data []byte) bool {
	for _, f := range formats {
		if bytes.HasPrefix(data, []byte(f.magic)) {
			return true
		}
	}
	return false
}

// limited fails where another byte would be one too many.
type limited struct {
	io.ReadCloser
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.ReadCloser.Read(p)
	if int64(n) > l.left {
		n, err = int(l.left), ErrTooLarge
	}
	l.left -= int64(n)
	return n, err
}
