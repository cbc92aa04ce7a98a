package report

// VM is the throw-away machine that a kernel was booted in.
type VM struct {
	// Accel is what ran the guest's instructions: "kvm" or "tcg".
	Accel    string `json:"accel"`
	MemoryMB int    `json:"memory_mb"`
	// Boots is how often the kernel was booted for this report.
	Boots int `json:"boots"`
	// BootMS is from the start of the machine to our first word from inside.
	BootMS int64 `json:"boot_ms"`
}

// The ways a module came to be in the kernel, or was to.
const (
	LoadedBefore   = "before" // it was there already
	LoadedByUs     = "us"     // before the first write
	LoadedByKernel = "kernel" // at the kernel's own request
)

// Module is one kernel module, or the failure to load it.
type Module struct {
	Name     string `json:"name"`
	LoadedBy string `json:"loaded_by"`
	// AfterWrite is the key of the write that the kernel's request came after.
	AfterWrite string `json:"after_write,omitempty"`
	// Error is why it is not loaded.
	Error string `json:"error,omitempty"`
}

// KernelMessage is one complaint of the kernel, or a line about sysctls.
type KernelMessage struct {
	Text  string `json:"text"`
	Phase string `json:"phase"`
	// AfterWrite is the key of the newest write before it, empty where there was none.
	AfterWrite string `json:"after_write,omitempty"`
	// Key is the key that it is about, where it names one.
	Key string `json:"key,omitempty"`
}

// Device is one network device of every fresh namespace, or the failure to make it.
type Device struct {
	// Kind is rtnetlink's name of it, or "tap", "tun".
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Error is why it was not made.
	Error string `json:"error,omitempty"`
}
