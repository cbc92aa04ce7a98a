// Package protocol is what the parent and a child say to each other over a
// pair of pipes, and how it is framed: one JSON message a line, at most
// MaxMessage bytes, exactly one field of a message set, unknown fields refused.
// docs/protocol.md draws the exchange.
//
// It is private: both ends are the same build, and Hello refuses anything else.
// Nothing here reads a sysctl or knows what a leak is.
//
//	parent                              child
//	  | <------------------------ hello --|   version, pid, namespace
//	  |-- survey -----------------------> |
//	  | <------ entries ... entries, done |
//	  |-- perturb ----------------------> |
//	  | <---------- write ... write, done |
//	  |-- sweep ------------------------> |
//	  | <---------------- changes, done   |
//	  |-- quit -------------------------> |
//	  | <-------------------------- done  |   EOF before this is an error
//
// A request that could not be served at all is answered with failed in place of done.
package protocol
