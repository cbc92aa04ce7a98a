package verdict

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"

	"github.com/netns-verify/netns-verify/internal/observe"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// Secrets knows which values must not be shown. Its salt is drawn for the run
// and never told, so that a digest can be compared within one report and not guessed.
type Secrets struct {
	salt   []byte
	keys   map[sysctl.Key]bool
	values map[string]bool
	known  map[sysctl.Key]bool
	shown  bool // all the same
}

// secretLength is the shortest secret value that is also looked for under
// other keys: shorter ones would make every "1" a secret.
const secretLength = 8

// NewSecrets draws the salt. Shown: secrets are shown all the same.
func NewSecrets(shown bool) *Secrets {
	s := &Secrets{salt: make([]byte, 32), keys: map[sysctl.Key]bool{}, values: map[string]bool{}, known: map[sysctl.Key]bool{}, shown: shown}
	_, _ = rand.Read(s.salt) // never fails (Go 1.24)
	return s
}

// Learn takes note of the keys in a snapshot that not everybody may read.
func (s *Secrets) Learn(snap sysctl.Snapshot) {
	for _, e := range snap {
		s.known[e.Key] = true
		if e.Secret() {
			s.keys[e.Key] = true
			s.value(e.State.Value)
		}
	}
}

// Write takes note of a write: what was written to a secret key is a secret elsewhere, too.
func (s *Secrets) Write(w trace.Write) {
	if s.keys[w.Key] {
		s.value(w.Value)
		s.value(w.After.Value)
	}
}

func (s *Secrets) value(v string) {
	if len(v) >= secretLength {
		s.values[v] = true
	}
}

// hides tells whether a value must not be shown. A key that no survey has seen
// may be anything: conf/<device>/stable_secret of a new device, for instance.
func (s *Secrets) hides(k sysctl.Key, v string) bool {
	if observe.IsModule(k) || s.shown {
		return false
	}
	return s.keys[k] || s.values[v] || len(s.known) > 0 && !s.known[k]
}

// Show is a state for the report: a digest stands for a secret.
func (s *Secrets) Show(k sysctl.Key, st sysctl.State) report.Shown {
	switch {
	case st == sysctl.Absent:
		return report.Shown{}
	case !st.OK():
		return report.Shown{Errno: ErrnoName(st.Errno)}
	case s.hides(k, st.Value):
		mac := hmac.New(sha256.New, s.salt)
		mac.Write([]byte(st.Value))
		return report.Show("secret:" + hex.EncodeToString(mac.Sum(nil)[:8]))
	}
	return report.Show(st.Value)
}
