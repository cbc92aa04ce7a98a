// Package initramfs makes the archive that a kernel boots from: our own executable
// as init, modules, and nothing else. The same contents make the same bytes.
//
// It is not compressed: it does not go over a wire, and an emulated machine takes
// longer to unpack it than to copy it.
package initramfs
