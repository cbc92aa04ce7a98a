// Package parent is the orchestrator: it starts children in fresh network
// namespaces, has them write sysctls, sweeps every observer, attributes each
// effect to the write that caused it, proves that, and puts the host back.
// docs/architecture.md follows one run through it. Where the run is killed, its
// guardian does the last of that, by the journal (docs/restore.md).
//
// It meets child only in protocol. How namespaces and processes are made is
// behind Machine; what a value may be is internal/perturb's, how a result reads
// is internal/report's. Loggers and exits are cmd's.
package parent
