package unpack_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"testing"

	"github.com/netns-verify/netns-verify/internal/kmod/kmodtest"
	"github.com/netns-verify/netns-verify/internal/unpack"
)

const text = "hello hello hello\n"

// packed is the text in all formats; xz, which nothing here can write, was made
// with `xz --check=crc32`.
func packed(t testing.TB) map[string][]byte {
	x, err := base64.StdEncoding.DecodeString("/Td6WFoAAAFpIt42AgAhARYAAAB0L+Wj4AARAAxdADQZSe6N6U9+ISGwAAA7fIrfAAEkEsUl1yKQQpkNAQAAAAABWVo=")
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"plain": []byte(text), "xz": x,
		"gz": kmodtest.Pack("gz", []byte(text)), "zst": kmodtest.Pack("zst", []byte(text)),
	}
}

func TestBytes(t *testing.T) {
	for format, data := range packed(t) {
		got, err := unpack.Bytes(data, int64(len(text)))
		if err != nil || string(got) != text {
			t.Errorf("%s: got %q, %v", format, got, err)
		}
		if unpack.Compressed(data) != (format != "plain") {
			t.Errorf("%s: compressed: %v", format, !unpack.Compressed(data))
		}
	}
}

// TestLimit: one byte more than allowed is too much, however it is read.
func TestLimit(t *testing.T) {
	for format, data := range packed(t) {
		if _, err := unpack.Bytes(data, int64(len(text))-1); !errors.Is(err, unpack.ErrTooLarge) {
			t.Errorf("%s: %v", format, err)
		}
		r, err := unpack.Reader(bytes.NewReader(data), 5)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if string(got) != text[:5] || !errors.Is(err, unpack.ErrTooLarge) {
			t.Errorf("%s: got %q, %v", format, got, err)
		}
		if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, unpack.ErrTooLarge) {
			t.Errorf("%s: reading on: %d, %v", format, n, err)
		}
		if err := r.Close(); err != nil {
			t.Errorf("%s: %v", format, err)
		}
	}
}

func TestTruncated(t *testing.T) {
	for format, data := range packed(t) {
		for n := range data {
			got, err := unpack.Bytes(data[:n], 1000)
			// What is left of the beginning may be too short to tell a format.
			if err == nil && format != "plain" && unpack.Compressed(data[:n]) {
				t.Errorf("%s: %d bytes of it pass as %q", format, n, got)
			}
		}
	}
}

func FuzzBytes(f *testing.F) {
	for _, data := range packed(f) {
		f.Add(data)
		f.Add(data[:len(data)-3])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		const limit = 1 << 20
		got, err := unpack.Bytes(data, limit)
		if err == nil && len(got) > limit {
			t.Errorf("%d bytes", len(got))
		}
	})
}
