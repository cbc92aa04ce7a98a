package parent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/client"
	"github.com/netns-verify/netns-verify/parent/netns"
)

// devconf says what devices' settings in a new namespace start with (ip-sysctl.rst):
// everything about them is asked once for each of its values.
const devconf sysctl.Key = "net/core/devconf_inherit_init_net"

const devconfMax = 3 // what a kernel does not know it refuses

// origin is where new namespaces have the value of a key from.
type origin struct {
	kind report.Creation
	// namespace is whose keys count, where that was measured.
	namespace string
	// keys is the other keys that it follows, where they are known.
	keys []sysctl.Key
}

// creation finds out what writes on the host do to other namespaces: to one that
// exists, and to new ones.
type creation struct {
	*run
	mode string // the present value of devconf, "*" where there is none
	// fresh is a namespace made with nothing written, existing one that stays.
	fresh    map[sysctl.Key]sysctl.Entry
	existing *client.Client
	settled  map[sysctl.Key]sysctl.State // what the existing one has changed for good
	batches  []*hostBatch                // of this mode
	// causes is what has been found out about what follows what, in any mode.
	causes map[sysctl.Key]sysctl.Key
	trials int
	// searched is how many of them went into searches for several causes.
	searched int
	// devices is those of the host of which keys were written.
	devices map[string]bool
	// keptBefore is how many host keys were not put back when fresh was looked at.
	keptBefore int
	// notMoved is the possible sources that were not moved, by mode.
	notMoved map[string][]notMoved
	// hiding is the keys that have new namespaces made without others; unseen is the keys
	// that were missing when all but those were moved, by mode.
	hiding map[sysctl.Key]bool
	unseen map[string]map[sysctl.Key]bool
	// creatorLeftOut tells that keys of creating namespaces were left out on purpose.
	creatorLeftOut bool
}

// findCreations writes the host's keys, and puts them back, whatever happens.
func (r *run) findCreations(ctx context.Context) error {
	if err := r.atPeace(ctx); err != nil {
		return err
	}
	r.enter(PhaseHost, "")
	if !r.quiet() {
		r.skip(PhaseHost, "host keys were not written: what other programs change meanwhile could not be told from it")
		return nil
	}
	r.creations, r.untold, r.kept = map[sysctl.Key]map[string]origin{}, map[sysctl.Key]string{}, map[sysctl.Key]string{}
	c := &creation{run: r, causes: map[sysctl.Key]sysctl.Key{}, devices: map[string]bool{}, notMoved: map[string][]notMoved{},
		hiding: map[sysctl.Key]bool{}, unseen: map[string]map[sysctl.Key]bool{}}
	err := c.all(ctx)
	if c.existing != nil {
		c.existing.Abandon()
	}
	c.withdraw()
	if rerr := c.end(); rerr != nil {
		err = errors.Join(err, fmt.Errorf("put the host back: %w", rerr))
	}
	if err != nil {
		return err
	}
	if list := slices.Sorted(maps.Keys(c.devices)); len(list) > 0 && !c.o.AllowOneWay {
		c.warn("devices whose own keys were written on the host no longer follow conf/default there: %s", strings.Join(list, ", "))
	}
	c.log.Info().Str("phase", string(PhaseHost)).Int("keys", len(r.creations)).Int("trials", c.trials).Msg("creations found")
	// Its values may have been shared ones: what it has noticed is no leak.
	old := r.sibling
	r.sibling = nil
	old.Abandon()
	return r.renewSibling(ctx)
}

// atPeace waits for what the writers have left to do, and attributes it: later it
// would be taken for the host's doing.
func (r *run) atPeace(ctx context.Context) error {
	if r.spare != nil {
		r.spare.Abandon()
		r.spare = nil
	}
	if err := r.pause(r.untilLast(ctx)); err != nil {
		return err
	}
	if err := r.awaitDrain(ctx); err != nil {
		r.undrained(err)
	}
	if err := stopped(ctx); err != nil {
		return err
	}
	if err := r.lastSweep(r.sibling); err != nil {
		return err
	}
	if err := r.dismissAll(); err != nil {
		return err
	}
	if _, err := r.attributeLast(ctx); err != nil {
		return err
	}
	return r.dismissAll() // what they would notice from now on is no leak
}

func (c *creation) all(ctx context.Context) error {
	s, err := c.startSurveyed(ctx, everything, false, netns.RoleSibling) // devices of ours have nothing from the host
	if err != nil {
		return err
	}
	c.existing, c.settled = s[0].client, map[sysctl.Key]sysctl.State{}
	for i, mode := range c.possibleModes() {
		if !c.turnTo(mode) {
			continue
		}
		c.devconfs = append(c.devconfs, mode)
		if err := c.inMode(ctx, i > 0); err != nil {
			return err
		}
	}
	if err := c.turnBack(); err != nil || !c.o.AllowOneWay {
		return err
	}
	// Last, because nothing is as it was afterwards.
	if err := c.look(ctx); err != nil {
		return err
	}
	c.batches = nil
	if err := c.writeBatches(ctx, c.latches()); err != nil {
		return err
	}
	c.movedAfterAll(c.batches)
	return c.conclude(ctx)
}

// inMode asks about every key, or only about those that depend on the mode.
func (c *creation) inMode(ctx context.Context, again bool) error {
	before := c.fresh
	if err := c.look(ctx); err != nil {
		return err
	}
	c.movedByMode(before)
	c.batches = nil
	if err := c.writeBatches(ctx, c.plan(again)); err != nil {
		return err
	}
	if err := c.conclude(ctx); err != nil {
		return err
	}
	if err := c.levels(ctx); err != nil {
		return err
	}
	if err := c.creators(ctx); err != nil {
		return err
	}
	c.settleDefaults()
	return nil
}

// look makes a fresh namespace what new ones are compared with.
func (c *creation) look(ctx context.Context) error {
	s, err := c.newborn(ctx, nil)
	if err == nil {
		c.fresh = s.Map()
	}
	return err
}

// newborn is what there is in a namespace that is made now; only of some keys, or
// of all where none are named.
func (c *creation) newborn(ctx context.Context, keys []sysctl.Key) (sysctl.Snapshot, error) {
	if err := stopped(ctx); err != nil {
		return nil, err
	}
	born, err := c.start(ctx, netns.RoleLater, false)
	if err != nil {
		return nil, err
	}
	defer born.Abandon()
	var s sysctl.Snapshot
	if keys == nil {
		s, err = born.Survey()
	} else {
		s, err = born.Look(keys)
	}
	if err != nil {
		return nil, err
	}
	return s, born.Quit()
}

// possibleModes is the values of devconf, the present one first.
func (c *creation) possibleModes() []string {
	present := c.host.Expected(devconf)
	if !present.OK() {
		return []string{report.AnyDevconf}
	}
	modes := []string{present.Value}
	if !c.host.Found(devconf).Writable() || !c.question.Asks(devconf) {
		return modes
	}
	for v := range devconfMax + 1 {
		if s := strconv.Itoa(v); s != present.Value {
			modes = append(modes, s)
		}
	}
	return modes
}

// turnTo sets devconf, and tells whether the kernel takes the value.
func (c *creation) turnTo(mode string) bool {
	c.mode = mode
	if mode == report.AnyDevconf || c.host.Expected(devconf).Value == mode {
		return true
	}
	if c.announceKeys([]hostKey{{devconf, []string{mode}}}) != nil {
		return false // the next announcement fails, too
	}
	_ = c.m.Host().Write(devconf, mode) // what is read back counts
	st := c.m.Host().Read(devconf)
	if st.Value != mode {
		return false
	}
	c.host.Expect(devconf, st)
	return true
}

// turnBack gives devconf its own value back.
func (c *creation) turnBack() error {
	if len(c.devconfs) == 0 || c.devconfs[0] == report.AnyDevconf {
		return nil
	}
	c.mode = c.devconfs[0]
	c.host.Expect(devconf, c.host.Found(devconf).State)
	return c.putBack()
}

// end leaves the host as it was found.
func (c *creation) end() error {
	return errors.Join(c.turnBack(), c.putBack())
}

// announceKeys says which of the host's keys are about to be written.
func (c *creation) announceKeys(hs []hostKey) error {
	var keys []sysctl.Key
	for _, h := range hs {
		keys = append(keys, h.key)
	}
	if c.o.Writing != nil {
		c.o.Writing(keys)
	}
	if err := c.recordLearnt(); err != nil {
		return err
	}
	return c.o.Record.OnHost(keys)
}

// ofDevices tells whether a key is one of those that devconf is about; ip_forward
// is another name of conf/all/forwarding.
func ofDevices(k sysctl.Key) bool {
	return strings.HasPrefix(string(k), "net/ipv4/conf/") || strings.HasPrefix(string(k), "net/ipv6/conf/") || k == "net/ipv4/ip_forward"
}

// asked tells whether a key is asked about in the present mode.
func (c *creation) asked(k sysctl.Key) bool { return c.mode == c.devconfs[0] || ofDevices(k) }

// modeOf is the mode that an answer is for which is found in the present one.
func (c *creation) modeOf(k sysctl.Key) string {
	if ofDevices(k) {
		return c.mode
	}
	return report.AnyDevconf
}

// settle records an origin for the present mode.
func (c *creation) settle(k sysctl.Key, o origin) {
	if c.creations[k] == nil {
		c.creations[k] = map[string]origin{}
	}
	c.creations[k][c.modeOf(k)] = o
}
