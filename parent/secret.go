package parent

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"

	"github.com/netns-verify/netns-verify/internal/observe"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// secrets knows which values must not be shown. Its salt is drawn for the run
// and never told, so that a digest can be compared within one report and not guessed.
type secrets struct {
	salt   []byte
	keys   map[sysctl.Key]bool
	values map[string]bool
	known  map[sysctl.Key]bool
	shown  bool // all the same
}

// secretLength is the shortest secret value that is also looked for under
// other keys: shorter ones would make every "1" a secret.
const secretLength = 8

func newSecrets() *secrets {
	s := &secrets{salt: make([]byte, 32), keys: map[sysctl.Key]bool{}, values: map[string]bool{}, known: map[sysctl.Key]bool{}}
	_, _ = rand.Read(s.salt) // never fails (Go 1.24)
	return s
}

// learn takes note of the keys in a snapshot that not everybody may read.
func (s *secrets) learn(snap sysctl.Snapshot) {
	for _, e := range snap {
		s.known[e.Key] = true
		if e.Secret() {
			s.keys[e.Key] = true
			s.value(e.State.Value)
		}
	}
}

func (s *secrets) value(v string) {
	if len(v) >= secretLength {
		s.values[v] = true
	}
}

// hides tells whether a value must not be shown. A key that no survey has seen
// may be anything: conf/<device>/stable_secret of a new device, for instance.
func (s *secrets) hides(k sysctl.Key, v string) bool {
	if observe.IsModule(k) || s.shown {
		return false
	}
	return s.keys[k] || s.values[v] || len(s.known) > 0 && !s.known[k]
}

// shown is a state for the report: a digest stands for a secret.
func (r *run) shown(k sysctl.Key, st sysctl.State) report.Shown {
	switch {
	case st == absent:
		return report.Shown{}
	case !st.OK():
		return report.Shown{Errno: errnoName(st.Errno)}
	case r.secrets.hides(k, st.Value):
		mac := hmac.New(sha256.New, r.secrets.salt)
		mac.Write([]byte(st.Value))
		return report.Show("secret:" + hex.EncodeToString(mac.Sum(nil)[:8]))
	}
	return report.Show(st.Value)
}
