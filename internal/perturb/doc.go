// Package perturb turns what is known of a key into values that may be written
// to it: Candidates, most promising first. It is pure: it reads no file and no
// clock, and the same arguments always give the same answer. At has them far apart
// (levels.go).
//
// A key is first looked up by its path (rules.go, for what the value alone does
// not tell), then judged by the shape of its value: integer, vector, range list,
// mask, word. One file a concept.
//
// Trying the candidates, and deciding whether one took effect, does not belong
// here (package child), nor which keys are written at all (package parent).
// Values that eat memory are never proposed.
package perturb
