// Package parent is a run: it starts children in fresh network namespaces, has them write
// sysctls, looks at every observer, attributes each effect to the write that caused it,
// proves that, and puts the host back. run.go has the phases in order; start there. What
// stands on its own has a package below this one, and knows nothing of it.
//
// It meets child only in protocol. What a value may be is internal/perturb's, how a report
// reads is internal/report's. Loggers and exits are cmd's.
package parent
