package child

import (
	"slices"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/protocol"
)

// perturb moves each key off its value and off the observers' values.
func (s *server) perturb(p *protocol.Perturb) error {
	for _, it := range p.Items {
		if err := s.perturbKey(it); err != nil {
			return err
		}
	}
	return nil
}

// perturbKey tries candidates until enough of them took effect, and without
// any, the observers' own values. The value is read at the moment of writing,
// because earlier writes may have moved it. What cannot be read now, though its mode
// allows it, is not written.
func (s *server) perturbKey(it protocol.Item) error {
	key, effective := sysctl.Key(it.Key), 0
	if it.Exact {
		for _, c := range it.Candidates {
			if _, err := s.write(key, c, s.value(key)); err != nil {
				return err
			}
		}
		return nil
	}
	before := s.value(key)
	if !before.OK() {
		mode, _ := s.tree.Mode(key) // absent ones have none
		if (sysctl.Entry{Key: key, Mode: mode, State: before}).Unread() {
			return nil
		}
	}
	for _, c := range it.Candidates {
		if effective >= max(it.Want, 1) {
			return nil
		}
		if before.OK() && before.Value == string(c) || slices.Contains(it.Avoid, c) {
			continue // it would show nothing
		}
		after, err := s.write(key, c, before)
		if err != nil {
			return err
		}
		if after.OK() && after != before && !slices.Contains(it.Avoid, protocol.Bytes(after.Value)) {
			effective++
		}
		before = after
	}
	if effective > 0 {
		return nil
	}
	// A switch has no third value: what one observer has shows it to the others.
	for _, c := range it.Avoid {
		if effective >= max(it.Want, 1) || !before.OK() || before.Value == string(c) {
			continue
		}
		after, err := s.write(key, c, before)
		if err != nil {
			return err
		}
		if after.OK() && after != before {
			effective++
		}
		before = after
	}
	return nil
}

// replay repeats recorded writes exactly.
func (s *server) replay(p *protocol.Replay) error {
	for _, w := range p.Writes {
		key := sysctl.Key(w.Key)
		if w.Read {
			if err := s.read(key); err != nil {
				return err
			}
			continue
		}
		if _, err := s.write(key, w.Value, s.value(key)); err != nil {
			return err
		}
	}
	return nil
}

// write makes one attempt and streams its result; only a broken pipe is an error.
func (s *server) write(key sysctl.Key, v protocol.Bytes, before sysctl.State) (after sysctl.State, err error) {
	werr := s.tree.Write(key, string(v))
	after = s.value(key)
	return after, s.conn.Send(protocol.Reply{Write: &protocol.Write{
		Key: protocol.Bytes(key), Value: v, Error: protocol.FromError(werr),
		Before: protocol.FromState(before), After: protocol.FromState(after),
	}})
}

// read is a write that writes nothing.
func (s *server) read(key sysctl.Key) error {
	st := protocol.FromState(s.tree.Read(key))
	return s.conn.Send(protocol.Reply{Write: &protocol.Write{Key: protocol.Bytes(key), Before: st, After: st}})
}

// value is a key's state just before or after a write: of each key it is asked for again
// and again.
func (s *server) value(key sysctl.Key) sysctl.State {
	if s.sweeper != nil {
		return s.sweeper.Look(key)
	}
	if s.reader == nil {
		s.reader = s.tree.Keep()
	}
	return s.reader.Read(key)
}
