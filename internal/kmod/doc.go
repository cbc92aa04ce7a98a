// Package kmod knows kernel modules as files: what is in them, which of them a
// guest wants and in which order they load, and how to load one.
//
// Packages carry no modules.dep (depmod writes it at installation), so all of it
// comes from the modules themselves: .modinfo says what a module needs and which
// names it answers to, its undefined symbols say what it registers.
package kmod
