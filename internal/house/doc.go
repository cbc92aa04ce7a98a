// Package house has no code, only tests: they keep the rules of
// docs/architecture.md about who may import and do what, and how large things may
// be. A new rule belongs in the table of rules_test.go, with a small tree that breaks
// it; what is beyond a limit for now is listed in debts_test.go, and only shrinks.
package house
