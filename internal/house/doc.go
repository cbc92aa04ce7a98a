// Package house has no code, only tests: they keep the rules of
// docs/architecture.md about who may import and do what. A new rule belongs in
// the table of rules_test.go, with a small tree that breaks it.
package house
