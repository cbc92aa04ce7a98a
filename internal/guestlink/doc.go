// Package guestlink is what a guest says to whoever started its machine, over a
// serial port of its own, and the order that it is given: the messages and their
// framing. It is of the same kind as protocol, and as private: one JSON object a
// line with exactly one field, unknown fields refused, hello with version and
// build first. The stream goes one way and is compressed.
//
//	outside                                   guest
//	  |-- order (a file of the initramfs) --->  |
//	  | <----------------------------- hello --|   first, before anything can go wrong
//	  | <-- host, progress, writing, log, ... --|   as the run goes on
//	  | <----------------------------- final --|   mandatory: EOF before it means that
//	                                                the guest died
//
// What is done with an order is internal/guest's business, how a machine is
// made internal/vm's.
package guestlink
