// Package sysctl knows what a sysctl is: its identity (Key), what reading it
// gave (State), a tree of them (Tree, with /proc/sys as the real one), and how
// to notice that something in a tree changed (Sweeper).
//
// What a value means, or what might be written to it, does not belong here:
// see internal/perturb.
package sysctl
