// Package device is the kinds of network devices that a child can have beside
// lo: a table, one line a kind, and how one is chosen and asked for by name.
// Every device brings keys of its own below net/*/conf and net/*/neigh.
//
// It makes nothing (package child does) and does not know what a kernel can make
// (the kernel says so when it is asked).
package device
