package protocol

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
)

// MaxMessage bounds one message in bytes. The survey of an ordinary host is
// 66 KB, more than a default pipe or bufio.Scanner holds.
const MaxMessage = 16 << 20

// ErrTooLong is a line of more than MaxMessage bytes.
var ErrTooLong = fmt.Errorf("message longer than %d MiB", MaxMessage>>20)

// maxParts bounds the values in one message: what is three bytes in JSON takes
// hundreds in memory. Of ours each has some twenty.
const maxParts = 1 << 20

// ErrTooMuch is a message of too many parts, or an answer of too many bytes.
var ErrTooMuch = errors.New("more than is asked for")

// Conn sends messages of one kind and receives those of the other. One
// goroutine may send while another receives.
type Conn[In, Out any] struct {
	r *bufio.Reader
	w io.Writer
	// left is how much may still be received; it counts once limited is set.
	limited bool
	left    int64
}

// ParentConn and ChildConn are the two ends.
type (
	ParentConn = Conn[Reply, Request]
	ChildConn  = Conn[Request, Reply]
)

// NewConn frames messages over a reader and a writer.
func NewConn[In, Out any](r io.Reader, w io.Writer) *Conn[In, Out] {
	return &Conn[In, Out]{r: bufio.NewReaderSize(r, 64<<10), w: w}
}

// Send writes one message with one Write call.
func (c *Conn[In, Out]) Send(m Out) error {
	if err := one(&m); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	b, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if len(b) > MaxMessage {
		return fmt.Errorf("send: %w", ErrTooLong)
	}
	if _, err := c.w.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// Allow bounds what is received from now on, in bytes: more is ErrTooMuch.
func (c *Conn[In, Out]) Allow(bytes int64) { c.limited, c.left = true, bytes }

// Receive reads one message. The error is io.EOF between messages and
// io.ErrUnexpectedEOF inside one.
func (c *Conn[In, Out]) Receive() (In, error) {
	var m In
	line, err := readLine(c.r)
	if err != nil {
		return m, fmt.Errorf("receive: %w", err)
	}
	if c.left -= int64(len(line)); c.limited && c.left < 0 {
		return m, fmt.Errorf("receive: %w", ErrTooMuch)
	}
	if err := Decode(line, &m); err != nil {
		return m, fmt.Errorf("receive: %w", err)
	}
	return m, nil
}

// Decode reads one message, strictly, from the JSON of a line.
func Decode[M any](line []byte, m *M) error {
	if bytes.Count(line, []byte(",")) > maxParts {
		return fmt.Errorf("malformed message %.60q: %w", line, ErrTooMuch)
	}
	if err := unmarshalStrict(line, m); err != nil {
		return fmt.Errorf("malformed message %.60q: %w", line, err)
	}
	if err := one(m); err != nil {
		return fmt.Errorf("malformed message %.60q: %w", line, err)
	}
	return nil
}

func readLine(r *bufio.Reader) ([]byte, error) {
	part, err := r.ReadSlice('\n')
	if err == nil {
		return part[:len(part)-1], nil // valid until the next read: decoded by then
	}
	var line []byte
	for errors.Is(err, bufio.ErrBufferFull) {
		if len(line)+len(part) > MaxMessage {
			return nil, ErrTooLong
		}
		line = append(line, part...)
		part, err = r.ReadSlice('\n')
	}
	line = append(line, part...)
	switch {
	case errors.Is(err, io.EOF) && len(line) > 0:
		return nil, io.ErrUnexpectedEOF
	case err != nil:
		return nil, err
	case len(line) > MaxMessage+1:
		return nil, ErrTooLong
	}
	return line[:len(line)-1], nil
}

func unmarshalStrict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the message")
	}
	return nil
}

// one checks that exactly one field of a message is set.
func one(m any) error {
	v := reflect.ValueOf(m).Elem()
	set := 0
	for i := range v.NumField() {
		if !v.Field(i).IsNil() {
			set++
		}
	}
	if set != 1 {
		return fmt.Errorf("%d fields set, want exactly 1", set)
	}
	return nil
}
