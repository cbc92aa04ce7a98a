// Package reboot proves one-way leaks: what cannot be undone cannot be repeated
// on the machine that it happened on, but on another boot of it.
//
// It is pure: how a machine is booted, and what is written in it, is the
// caller's. It knows reports and how to draw rounds, and nothing of QEMU.
package reboot
