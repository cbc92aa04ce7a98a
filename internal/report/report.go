package report

import "time"

// SchemaVersion is the version of the JSON: the minor number grows with every
// addition, the major one with a change that could break a reader.
const SchemaVersion = "1.0"

// Report is everything a run found out.
type Report struct {
	SchemaVersion string `json:"schema_version"`
	Tool          Tool   `json:"tool"`
	Run           Run    `json:"run"`
	Host          Host   `json:"host"`
	// VM is the machine that was made for the run; nil for the host's own kernel.
	VM          *VM      `json:"vm,omitempty"`
	Counts      Counts   `json:"counts"`
	Leaks       []Leak   `json:"leaks"`
	Unconfirmed []Effect `json:"unconfirmed"`
	Keys        []Key    `json:"keys"`
	// Answers is those to the lines of --keys-from, in their order.
	Answers []Answer `json:"answers,omitempty"`
	// Plan is what would be written; only for a dry run.
	Plan []Planned `json:"plan,omitempty"`
	// KernelMessages is what the kernel complained about meanwhile; only in a VM.
	KernelMessages []KernelMessage `json:"kernel_messages"`
	Warnings       []string        `json:"warnings"`
}

// Tool says which build wrote the report.
type Tool struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Commit  string `json:"commit"`
}

// Run says what was done and how it ended.
type Run struct {
	ID         string    `json:"id"`
	Started    time.Time `json:"started"`
	DurationMS int64     `json:"duration_ms"`
	// Seed repeats the run's orders with --seed.
	Seed      uint64   `json:"seed"`
	Arguments []string `json:"arguments"`
	// Redacted tells that what identifies the machine was left out (Redacted).
	Redacted bool     `json:"redacted,omitempty"`
	Writers  []string `json:"writers"`
	Thorough bool     `json:"thorough"`
	// DryRun tells that the run ended after the plan, by request.
	DryRun  bool `json:"dry_run"`
	Passes  int  `json:"passes"`
	Batches int  `json:"batches"`
	// Replays counts the fresh writers started to attribute and confirm.
	Replays int `json:"replays"`
	// ReplaysExhausted tells that their budget was used up.
	ReplaysExhausted bool  `json:"replays_exhausted"`
	SettleMS         int64 `json:"settle_ms"`
	// Phase is the last phase reached; "report" where all were.
	Phase string `json:"phase"`
	// Writing is the keys that were about to be written when all ended, where a
	// virtual machine did not live to report.
	Writing []string `json:"writing,omitempty"`
	// Complete is false where anything was left untested or unexplained.
	Complete   bool   `json:"complete"`
	ExitStatus int    `json:"exit_status"`
	ExitReason string `json:"exit_reason"`
	// NotRestored is the host's keys that are not as they were found.
	NotRestored []NotRestored `json:"not_restored"`
	// Observe is the kinds of places of the host that are watched.
	Observe []string `json:"observe"`
	// Skipped is the parts that were asked for and could not be done, or not wholly.
	Skipped []Skipped `json:"skipped"`
	// CreationNotMoved is the keys that may be sources of others' values and could not be moved.
	CreationNotMoved []NotMoved `json:"creation_not_moved,omitempty"`
}

// Skipped is a part of a run that was not done.
type Skipped struct {
	Phase string `json:"phase"`
	Why   string `json:"why"`
}

// NotRestored is a key of the host that could not be put back.
type NotRestored struct {
	What   string `json:"what"`
	Key    string `json:"key"`
	KeyB64 []byte `json:"key_b64,omitempty"`
	Change
	Why string `json:"why"`
	// OneWay tells that this is the effect of a one-way leak, so the finding
	// itself, or what a run that may do so has written on the host: no failure of
	// the run. Conclude sets the former.
	OneWay bool `json:"one_way"`
}

// Host says what was tested.
type Host struct {
	KernelRelease string `json:"kernel_release"`
	KernelVersion string `json:"kernel_version"`
	Machine       string `json:"machine"`
	BootID        string `json:"boot_id"`
	Cmdline       string `json:"cmdline"`
	// ConfigSHA256 is of the kernel's configuration as text; empty where it is not to be had.
	ConfigSHA256 string `json:"config_sha256"`
	// InitialNamespace tells whether the run started in the network namespace
	// that the kernel booted with; nil where that cannot be told.
	InitialNamespace *bool `json:"initial_namespace"`
	// OtherNamespaces is how many other network namespaces were seen in use.
	OtherNamespaces int `json:"other_namespaces"`
	// VirtualMachine tells that the kernel runs under a hypervisor that shows itself.
	VirtualMachine bool `json:"virtual_machine"`
	// Modules is what a run that looks after them knows of kernel modules.
	Modules []Module `json:"modules"`
	// Devices is what fresh namespaces were given beside lo, and what could not be made.
	Devices []Device `json:"devices"`
}

// Planned is one key of a dry run's plan.
type Planned struct {
	Key    string `json:"key"`
	KeyB64 []byte `json:"key_b64,omitempty"`
	Writer string `json:"writer"`
	// Candidates are the values that would be tried, in order; of a thorough run, all.
	Candidates []string `json:"candidates"`
	// Batch is the batch of the forward pass that the key is in, from 1; 0
	// where it would not be written.
	Batch int `json:"batch"`
	// Why says why it would not be written.
	Why string `json:"why,omitempty"`
}

// Counts sums the keys up.
type Counts struct {
	HostKeys  int `json:"host_keys"`
	ChildKeys int `json:"child_keys"`
	Writable  int `json:"writable"`
	// Perturbed is the writable keys for which a write took effect.
	Perturbed int             `json:"perturbed"`
	Verdicts  map[Verdict]int `json:"verdicts"`
	// Excluded is the keys that were not asked about. They count above, too.
	Excluded int `json:"excluded"`
	// Watched is the places of the host that are watched: its keys, those that
	// are not below net/, tables and modules.
	Watched int `json:"watched"`
	// Descriptors is the keys that were written through a descriptor that the
	// writer had opened.
	Descriptors int `json:"descriptors,omitempty"`
	// Creation counts the keys by where namespaces have their values from, as long
	// as the host's devconf_inherit_init_net is what it was found to be.
	Creation map[Creation]int `json:"creation,omitempty"`
}

// Verdict is what the run concluded about one key.
type Verdict string

// The verdicts, worst first.
const (
	VerdictLeak      Verdict = "leak"
	VerdictUntested  Verdict = "untested"
	VerdictIsolated  Verdict = "isolated"
	VerdictWriteOnly Verdict = "write-only"
	VerdictReadOnly  Verdict = "read-only"
	VerdictHostOnly  Verdict = "host-only"
)

// Verdicts lists them, worst first.
func Verdicts() []Verdict {
	return []Verdict{VerdictLeak, VerdictUntested, VerdictIsolated, VerdictWriteOnly, VerdictReadOnly, VerdictHostOnly}
}

// Reason is why a key is untested.
type Reason string

// The reasons.
const (
	ReasonRefused     Reason = "refused"      // every candidate was rejected or without effect
	ReasonNoCandidate Reason = "no-candidate" // no value to try is known
	ReasonLatched     Reason = "latched"      // already at its one-way value
	ReasonOneWay      Reason = "one-way"      // known to be one-way: not tried on a host
	ReasonUnobserved  Reason = "unobserved"   // an observer or the writer cannot read it
	ReasonRestless    Reason = "restless"     // it moves by itself: no write is needed for a change
	ReasonCrowded     Reason = "crowded"      // of a host device that fresh namespaces got no counterpart of
	ReasonExcluded    Reason = "excluded"     // by --include, --exclude: not asked
	ReasonUnresolved  Reason = "unresolved"   // a candidate cause of a leak that could not be narrowed down
	ReasonUnconfirmed Reason = "unconfirmed"  // it changed on an observer, and no replay shows whether a write to it was the cause
	ReasonStopped     Reason = "stopped"      // the run ended before its turn
)

// Key is the verdict on one key.
type Key struct {
	Key            string  `json:"key"`
	KeyB64         []byte  `json:"key_b64,omitempty"`
	Verdict        Verdict `json:"verdict"`
	UntestedReason Reason  `json:"untested_reason,omitempty"`
	// Excluded tells that the run was not asked about the key.
	Excluded bool `json:"excluded,omitempty"`
	// Note explains the verdict where the built-in notes know why.
	Note string `json:"note,omitempty"`
	// Restless tells that it changed without any write.
	Restless bool              `json:"restless"`
	Host     *View             `json:"host"`
	Writers  map[string]Writer `json:"writers"`
	// Creation says where a namespace has its value from, by the host's value of
	// devconf_inherit_init_net, or for "*" where that makes no difference.
	Creation     map[string]Creation `json:"creation,omitempty"`
	CreationFrom map[string]Origin   `json:"creation_from,omitempty"`
	// CreationUntested is why Creation has no answer, or not for each value.
	CreationUntested string `json:"creation_untested,omitempty"`
}

// Change is a key's state before and after; both null where it was absent.
type Change struct {
	Before      *string `json:"before"`
	BeforeB64   []byte  `json:"before_b64,omitempty"`
	BeforeErrno string  `json:"before_errno,omitempty"`
	After       *string `json:"after"`
	AfterB64    []byte  `json:"after_b64,omitempty"`
	AfterErrno  string  `json:"after_errno,omitempty"`
}

// Of splits up the two states.
func (c *Change) Of(before, after Shown) {
	c.Before, c.BeforeB64, c.BeforeErrno = before.Text, before.B64, before.Errno
	c.After, c.AfterB64, c.AfterErrno = after.Text, after.B64, after.Errno
}

// Shown is the inverse of Of.
func (c Change) Shown() (before, after Shown) {
	return Shown{c.Before, c.BeforeB64, c.BeforeErrno}, Shown{c.After, c.AfterB64, c.AfterErrno}
}

// View is a key as somebody sees it; null where it is absent.
type View struct {
	Mode     string  `json:"mode"`
	Value    *string `json:"value"`
	ValueB64 []byte  `json:"value_b64,omitempty"`
	Errno    string  `json:"errno,omitempty"`
}

// Writer is a key as a kind of writer saw and wrote it.
type Writer struct {
	View
	Verdict  Verdict   `json:"verdict"`
	Attempts []Attempt `json:"attempts"`
}

// Attempt is one write to a key.
type Attempt struct {
	Value    *string `json:"value"`
	ValueB64 []byte  `json:"value_b64,omitempty"`
	// Errno is the rejection's name, such as "EINVAL"; empty where the kernel took it.
	Errno string `json:"errno,omitempty"`
	// After is what was read back; null where that failed.
	After    *string `json:"after"`
	AfterB64 []byte  `json:"after_b64,omitempty"`
}

// Leak is a cause, its effects and the evidence.
type Leak struct {
	Cause        []Cause  `json:"cause"`
	Effects      []Effect `json:"effects"`
	Evidence     Evidence `json:"evidence"`
	Via          string   `json:"via"`
	DelayMS      int64    `json:"delay_ms"`
	Unprivileged bool     `json:"unprivileged"`
	// Restored tells that the host was put back.
	Restored bool `json:"restored"`
	// Known names the bug that it matches.
	Known string `json:"known,omitempty"`
	// Reproducer is a shell line or two for unshare(1) and sysctl(8) alone.
	Reproducer string `json:"reproducer,omitempty"`
}

// WriterUserNS is the writer that any user of the machine could be: one in a user
// namespace of its own.
const WriterUserNS = "userns"

// Cause is one write of the set that causes a leak (nearly always the only one).
type Cause struct {
	Key    string `json:"key"`
	KeyB64 []byte `json:"key_b64,omitempty"`
	Attempt
	Writer string `json:"writer"`
}

// The ways of a leak.
const (
	ViaPath       = "path"
	ViaDescriptor = "descriptor" // one that the writer opened and the host used
	ViaRead       = "read"       // the key was only read
	ViaExit       = "exit"       // it shows when the writer's namespace is gone
)

// The observers: those who must not notice.
const (
	ObserverHost    = "host"
	ObserverSibling = "sibling"
	ObserverLater   = "later"
)

// The kinds of effects.
const (
	KindChanged     = "changed"
	KindAppeared    = "appeared"
	KindDisappeared = "disappeared"
	// KindRead is no change: through a descriptor of the writer's, the observer read
	// its own value (after) and not the writer's (before).
	KindRead = "read"
)

// What an effect shows in.
const (
	WhatSysctl = "sysctl"
	WhatProc   = "proc"   // a table below /proc
	WhatModule = "module" // of the kernel, loaded
)

// Effect is something of an observer that changed.
type Effect struct {
	Observer string `json:"observer"`
	Kind     string `json:"kind"`
	What     string `json:"what"`
	Key      string `json:"key"`
	KeyB64   []byte `json:"key_b64,omitempty"`
	Change
	// Phase says where an unconfirmed effect was seen.
	Phase string `json:"phase,omitempty"`
	// Why says what speaks against a leak, for an unconfirmed effect.
	Why string `json:"why,omitempty"`
	// LooksLike is a write of this very value to this very key, for an unconfirmed effect.
	LooksLike *Cause `json:"looks_like,omitempty"`
}

// Status is how certain a leak is.
type Status string

// The statuses.
const (
	StatusConfirmed  Status = "confirmed"
	StatusOneWay     Status = "one-way"
	StatusUnresolved Status = "unresolved"
)

// Evidence says how the cause was found.
type Evidence struct {
	Status Status `json:"status"`
	// Rounds with the write, those of them that showed the effect, and rounds
	// without the write (none of which may show it).
	Rounds  int    `json:"rounds"`
	Matched int    `json:"matched"`
	Shams   int    `json:"shams"`
	Why     string `json:"why"`
	// Candidates lists the writes one of which did it, where that is all that is known.
	Candidates []Cause `json:"candidates"`
}
