package unpack

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/mikelolasagasti/xz"
)

// piece is a block to be written.
type piece struct {
	data  []byte
	sizes bool
}

// write writes streams of blocks that are not compressed, with CRC32 sums.
func write(pieces ...piece) []byte {
	x := &xzReader{header: append([]byte(xzMagic), 0, 1)}
	x.header = binary.LittleEndian.AppendUint32(x.header, crc32.ChecksumIEEE(x.header[len(xzMagic):]))
	out := slices.Clone(x.header)
	for _, p := range pieces {
		var packed []byte
		for part := range slices.Chunk(p.data, 1<<16) {
			packed = binary.BigEndian.AppendUint16(append(packed, 1), uint16(len(part)-1))
			packed = append(packed, part...)
		}
		packed = append(packed, 0)
		header := []byte{0, 0}
		if p.sizes {
			header[1] = bothSize
			header = binary.AppendUvarint(binary.AppendUvarint(header, uint64(len(packed))), uint64(len(p.data)))
		}
		header = pad(append(header, 0x21, 1, 0)) // LZMA2 with a window of 4 KiB
		header[0] = byte(len(header) / 4)
		header = binary.LittleEndian.AppendUint32(header, crc32.ChecksumIEEE(header))
		x.blocks = append(x.blocks, xzBlock{uint64(len(header) + len(packed) + 4), uint64(len(p.data))})
		out = append(append(out, header...), pad(packed)...)
		out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(p.data))
	}
	return append(out, x.tail(x.blocks...)...)
}

func pad(b []byte) []byte { return append(b, make([]byte, (4-len(b)%4)%4)...) }

// alone is what the library makes of it by itself.
func alone(data []byte) ([]byte, error) {
	r, err := xz.NewReader(bytes.NewReader(data), maxWindow)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, 1<<20))
}

func together(data []byte) ([]byte, error) {
	r, err := newXZ(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, 1<<20))
}

// threads is 800 bytes of the numbers from 1 on, in blocks of 300, made with
// `xz --threads=2 --lzma2=dict=4KiB --block-size=300`.
func threads(t testing.TB) []byte {
	b, err := base64.StdEncoding.DecodeString(`/Td6WFoAAATm1rRGA8CeAawCIQEAAAAAP4gW/uABKwCWXQAYgoKPIk74plX38JmlJQ2QRZFaUbSbyqzcBTLshVKfsUht79zoS7lhuuCcU3+YyKlUDvw9KtMG12ZEPVZkps0918cfRPQY3wILP+LGxnvh5395RBx5t0KuZbgbtQ6E4ZqCBiM5Wn9yqkP6pZofksC+RXF5StWTxpAKOa2cZYcqtho4x+GTF8rQPgnqsFLwEGAmr88WBaAAAACKsqCnq+5ABAPAaKwCIQEAAAAAAGPr8Y3gASsAYF0AGIwCtGi/zhyY8tFD5vT8/fRA4g85BTICjYSeaTA4wu+ZhyonDiNDn4Y8+KcZeW5KRt1n80gNkp2JQO/PMd9LhJQwHSZr2d+Dy5K3BApNNck9+FZz+fgqqEroEN7WC5HLADf+whRExo1RA8BVyAEhAQAAAAAAoDX8n+AAxwBNXQAYjcNqRxFkYTEYtPcmSu4Jy4eVpR/ah3TFGCmu90KAzO3nag5PNqnLGjkpUDIiDLduhSz6L2eP/LZ9FpDaE1QLMpFd23vRQdC1W37gAAAAAABl+RrmNyWy8gADtgGsAoABrAJtyAEAAABCfhebrCc+LQQAAAAABFla`)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBlocks(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		var file, want []byte
		for range 1 + random.IntN(3) {
			sizes := random.IntN(4) > 0
			var pieces []piece
			for range random.IntN(12) {
				data := make([]byte, random.IntN(1<<random.IntN(20)))
				for i := range data {
					data[i] = byte(random.Uint32())
				}
				pieces = append(pieces, piece{data, sizes})
				want = append(want, data...)
			}
			file = append(file, write(pieces...)...)
			file = append(file, make([]byte, 4*random.IntN(3))...)
		}
		r, err := newXZ(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes became %d, %v", len(want), len(got), err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A block that is too large to be kept is decoded in its turn.
func TestLargeBlock(t *testing.T) {
	small, large := []byte("small"), make([]byte, maxBlock+1)
	file := write(piece{small, true}, piece{large, true}, piece{small, true})
	r, err := newXZ(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, slices.Concat(small, large, small)) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// Of the bits that matter to the library all do, those of our part included.
func TestFlippedBits(t *testing.T) {
	file := threads(t)
	whole, err := together(file)
	if err != nil || len(whole) != 800 {
		t.Fatalf("%d bytes, %v", len(whole), err)
	}
	for i := range 8 * len(file) {
		bad := slices.Clone(file)
		bad[i/8] ^= 1 << (i % 8)
		got, err := together(bad)
		if _, want := alone(bad); (err == nil) != (want == nil) || err == nil && !bytes.Equal(got, whole) {
			t.Errorf("bit %d of byte %d: %v, one decoder %v", i%8, i/8, err, want)
		}
	}
}

// However little of it there is: an error, and no more.
func TestCutShort(t *testing.T) {
	file := threads(t)
	for n := range file {
		if got, err := together(file[:n]); err == nil {
			t.Errorf("%d bytes of it pass as %q", n, got)
		}
	}
}

// Sizes are promises: nothing is made that large before there is as much.
func TestPromises(t *testing.T) {
	for _, size := range []uint64{maxBlock, 1 << 62, 1<<63 - 1} {
		header := append([]byte{0, bothSize}, binary.AppendUvarint(binary.AppendUvarint(nil, size), size)...)
		header = pad(append(header, 0x21, 1, 0))
		header[0] = byte(len(header) / 4)
		header = binary.LittleEndian.AppendUint32(header, crc32.ChecksumIEEE(header))
		file := append(write()[:xzHeader:xzHeader], header...)
		if _, err := together(append(file, "and little more"...)); err == nil {
			t.Errorf("%d bytes in %d", size, len(file))
		}
	}
	if _, err := together(write(piece{[]byte("a"), true}, piece{[]byte("b"), false})); !errors.Is(err, errXZMixed) {
		t.Errorf("a block without sizes: %v", err)
	}
}

// FuzzBlocks: several decoders say what one does.
func FuzzBlocks(f *testing.F) {
	f.Add(threads(f))
	f.Add(threads(f)[:200])
	f.Add(append(write(piece{[]byte("text"), true}, piece{nil, true}), write(piece{[]byte("more"), false})...))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := together(data)
		if errors.Is(err, errXZMixed) {
			return
		}
		want, wantErr := alone(data)
		if (err == nil) != (wantErr == nil) || err == nil && !bytes.Equal(got, want) {
			t.Errorf("%d bytes, %v; one decoder: %d bytes, %v", len(got), err, len(want), wantErr)
		}
	})
}
