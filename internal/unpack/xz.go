package unpack

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"runtime"
	"slices"

	"github.com/mikelolasagasti/xz"
)

// What xz writes with several threads, as for Debian's packages, is a stream of
// blocks that need nothing of those before them, with their sizes in front. Here each
// becomes a stream of its own, and several are decoded at a time. For that a block
// needs a header before it, and an index and a footer after it. Those are written
// here, and in the same way those of the whole stream, to be compared with what is
// there (https://tukaani.org/xz/xz-file-format.txt).
const (
	xzMagic  = "\xfd7zXZ\x00"
	xzFooter = "YZ"
	xzHeader = len(xzMagic) + 2 + 4 // flags, CRC32
	bothSize = 0xc0                 // flags of a block that says both of its sizes

	// maxBlock is the most, in bytes, that a block may have, packed or unpacked, to
	// be decoded beside others: xz makes blocks of 24 MiB. What is larger is decoded
	// as it is read, like streams without sizes.
	maxBlock = 32 << 20
	// ahead is how many blocks are in memory: with fewer, a slow one keeps the
	// others waiting.
	ahead = 6
	chunk = 256 << 10
)

var (
	errXZ      = errors.New("xz: data is corrupt")
	errXZMixed = errors.New("xz: only the first blocks have sizes")
)

// xzReader reads streams of blocks. All of r is read by whoever calls Read.
type xzReader struct {
	r      *bufio.Reader
	header []byte    // of the present stream
	blocks []xzBlock // of the present stream, until now
	next   []*xzDecoding
	direct io.Reader // what comes after next, and takes what it needs from r itself
	err    error     // what comes after that
	idle   chan *xz.Reader
	closed chan struct{}
}

// xzBlock is a block's sizes, as the index has them.
type xzBlock struct{ unpadded, unpacked uint64 }

func newXZ(r io.Reader) (io.ReadCloser, error) {
	x := &xzReader{r: bufio.NewReader(r), closed: make(chan struct{})}
	if x.err = x.begin(); x.err != nil && !errors.Is(x.err, io.EOF) {
		return nil, x.err
	}
	x.idle = make(chan *xz.Reader, runtime.GOMAXPROCS(0))
	for range cap(x.idle) {
		d, err := xz.NewReader(nil, maxWindow)
		if err != nil {
			return nil, err
		}
		x.idle <- d
	}
	return x, nil
}

func (x *xzReader) Read(p []byte) (int, error) {
	for {
		for x.err == nil && x.direct == nil && len(x.next) < ahead {
			x.err = x.more()
		}
		var n int
		var err error
		switch {
		case len(x.next) > 0:
			if n, err = x.next[0].Read(p); errors.Is(err, io.EOF) {
				x.next, err = x.next[1:], nil
			}
		case x.direct != nil:
			if n, err = x.direct.Read(p); errors.Is(err, io.EOF) {
				x.direct, err = nil, nil
			}
		default:
			return 0, x.err
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// Close ends what is being decoded. It is called once, like Read by one goroutine.
func (x *xzReader) Close() error {
	close(x.closed)
	return nil
}

// begin begins a stream. Its first block tells whether the others have sizes; if
// not, or if the stream makes no sense, it and all after it are the library's, and
// the error is io.EOF.
func (x *xzReader) begin() (err error) {
	start, _ := x.r.Peek(xzHeader + 2)
	if len(start) < xzHeader+2 || start[xzHeader] == 0 || start[xzHeader+1]&bothSize != bothSize {
		x.direct, err = xz.NewReader(x.r, maxWindow)
		return cmp.Or(err, io.EOF)
	}
	x.header, x.blocks = slices.Clone(start[:xzHeader]), nil
	if _, err := xz.NewReader(bytes.NewReader(x.header), maxWindow); err != nil {
		return err
	}
	_, err = x.r.Discard(xzHeader)
	return err
}

// more takes the next block, or what is between two streams; io.EOF after the last.
func (x *xzReader) more() error {
	size, err := x.r.Peek(1)
	if err != nil {
		return unexpected(err)
	}
	if size[0] == 0 {
		if err := x.end(); err != nil {
			return err
		}
		return x.begin()
	}
	header, err := x.r.Peek(4 * (int(size[0]) + 1))
	if err != nil {
		return unexpected(err)
	}
	packed, n := binary.Uvarint(header[2:])
	unpacked, m := binary.Uvarint(header[2+max(n, 0):])
	switch {
	case header[1]&bothSize != bothSize:
		return errXZMixed
	case n <= 0 || m <= 0 || packed > 1<<62:
		return errXZ
	}
	// That the sizes are right is for the library to find out.
	b := xzBlock{uint64(len(header)) + packed + x.checkSize(), unpacked}
	x.blocks = append(x.blocks, b)
	block := io.LimitReader(x.r, int64(b.unpadded+(4-packed%4)%4))
	if packed > maxBlock || unpacked > maxBlock {
		x.direct, err = xz.NewReader(x.stream(block, b), maxWindow)
		return err
	}
	data, err := io.ReadAll(block) // as much as is there, whatever was said
	if err != nil {
		return err
	}
	d := &xzDecoding{chunks: make(chan []byte, maxBlock/chunk+2)} // room for all: nobody waits for the reader
	go d.run(x, x.stream(bytes.NewReader(data), b), int(min(unpacked+1, chunk)))
	x.next = append(x.next, d)
	return nil
}

// end reads index and footer of a stream and the padding after it; io.EOF if
// nothing follows.
func (x *xzReader) end() error {
	want := x.tail(x.blocks...)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(x.r, got); err != nil {
		return unexpected(err)
	}
	if !bytes.Equal(got, want) {
		return errXZ
	}
	for {
		switch padding, err := x.r.Peek(4); {
		case len(padding) == 0:
			return err
		case !bytes.Equal(padding, make([]byte, 4)):
			return nil
		}
		_, _ = x.r.Discard(4) // they are there
	}
}

// stream makes a stream of one block.
func (x *xzReader) stream(block io.Reader, sizes xzBlock) io.Reader {
	return io.MultiReader(bytes.NewReader(x.header), block, bytes.NewReader(x.tail(sizes)))
}

// tail is what a stream of these blocks ends with: index and footer.
func (x *xzReader) tail(blocks ...xzBlock) []byte {
	t := binary.AppendUvarint([]byte{0}, uint64(len(blocks)))
	for _, b := range blocks {
		t = binary.AppendUvarint(binary.AppendUvarint(t, b.unpadded), b.unpacked)
	}
	t = append(t, make([]byte, (4-len(t)%4)%4)...)
	t = binary.LittleEndian.AppendUint32(t, crc32.ChecksumIEEE(t))
	end := binary.LittleEndian.AppendUint32(nil, uint32(len(t)/4-1))
	end = append(end, x.header[len(xzMagic):len(xzMagic)+2]...)
	t = binary.LittleEndian.AppendUint32(t, crc32.ChecksumIEEE(end))
	return append(append(t, end...), xzFooter...)
}

// checkSize is how many bytes the sum of a block has.
func (x *xzReader) checkSize() uint64 {
	if kind := x.header[len(xzMagic)+1]; kind > 0 {
		return 4 << ((kind - 1) / 3)
	}
	return 0
}

// unexpected is for an end in the middle.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// xzDecoding is a block that is being decoded.
type xzDecoding struct {
	chunks chan []byte // closed after the last
	err    error       // why it is the last
	left   []byte      // of the chunk that is being read
}

// run decodes a stream, when one of the decoders is idle.
func (d *xzDecoding) run(x *xzReader, stream io.Reader, size int) {
	defer close(d.chunks)
	decoder := <-x.idle
	defer func() { x.idle <- decoder }()
	for d.err = decoder.Reset(stream); d.err == nil; {
		select {
		case <-x.closed:
			return
		default:
		}
		data := make([]byte, size)
		n, err := io.ReadFull(decoder, data)
		d.chunks <- data[:n]
		d.err = err
	}
	if errors.Is(d.err, io.ErrUnexpectedEOF) { // of the last chunk
		d.err = io.EOF
	}
}

func (d *xzDecoding) Read(p []byte) (int, error) {
	for len(d.left) == 0 {
		var ok bool
		if d.left, ok = <-d.chunks; !ok {
			return 0, d.err
		}
	}
	n := copy(p, d.left)
	d.left = d.left[n:]
	return n, nil
}
