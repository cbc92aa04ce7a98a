package protocol

import (
	"bytes"
	"errors"
	"fmt"
	"math"
)

// Devices asks for network devices beside lo. All children get the same request,
// or they would differ for no other reason. What cannot be made is in the
// answer; it is not a failure.
type Devices struct {
	// Kinds are names of internal/device's table.
	Kinds []string `json:"kinds,omitempty"`
	// Like is devices of the host: the child makes some of the same names.
	Like []Like `json:"like,omitempty"`
}

// Like is one device of the host.
type Like struct {
	Name Bytes `json:"name"`
	// Index is taken where it is free (netdevice(7)).
	Index int `json:"index"`
}

// Made answers a part of a request for devices: in all there is one entry for each that
// was asked for, in order, the likenesses first.
type Made struct {
	Devices []Device `json:"devices"`
}

// Device is one device that was made, or the failure to.
type Device struct {
	Kind  string `json:"kind"`
	Name  Bytes  `json:"name"`
	Error *Error `json:"error,omitempty"`
}

// The limits of a request for devices.
const (
	MaxKinds = 64
	MaxLike  = 256
	// maxDeviceName is IFNAMSIZ without the NUL, in bytes (linux/if.h).
	maxDeviceName = 15
)

// Check tells what is wrong with a request, whoever made it.
func (d *Devices) Check() error {
	if len(d.Kinds) > MaxKinds || len(d.Like) > MaxLike {
		return fmt.Errorf("%d kinds and %d names of devices: at most %d and %d", len(d.Kinds), len(d.Like), MaxKinds, MaxLike)
	}
	for _, l := range d.Like {
		if err := checkDeviceName([]byte(l.Name)); err != nil {
			return fmt.Errorf("name of a device %.80q: %w", string(l.Name), err)
		}
		if l.Index < 0 || l.Index > math.MaxInt32 {
			return fmt.Errorf("device %q: index %d", string(l.Name), l.Index)
		}
	}
	return nil
}

// checkDeviceName is dev_valid_name (net/core/dev.c), and no NUL byte.
func checkDeviceName(name []byte) error {
	switch {
	case len(name) == 0:
		return errors.New("it is empty")
	case len(name) > maxDeviceName:
		return fmt.Errorf("it is longer than %d bytes", maxDeviceName)
	case string(name) == "." || string(name) == "..":
		return errors.New("it is no name but a directory")
	case bytes.ContainsAny(name, "/:\x00 \t\n\v\f\r") || bytes.IndexByte(name, 0xa0) >= 0: // isspace (lib/ctype.c)
		return errors.New("it has a character that no name of a device has")
	}
	return nil
}
