// Package finding has what a run has found out: leaks (Leaks), and changes that no write
// explains (Foreigns). It has facts and answers questions about them. It does not look, does
// not decide what is a leak, and has no words for people but the evidence's. Start with Leak.
package finding
