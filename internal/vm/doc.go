// Package vm makes throw-away machines with QEMU: it boots a kernel with an
// initramfs, hands on the messages of the guest inside, and leaves no process and
// no file behind, whatever happens.
//
// One machine is one QEMU.Boot. What goes into an initramfs is
// internal/initramfs's business, what the guest does internal/guest's, what is
// said internal/guestlink's; what it all means, and how often to boot, is the caller's.
package vm
