// Package known is the short, sourced list of what is known about some keys
// before anything is measured: values that cannot be put back (OneWay), bugs
// that a leak may be (Match), and keys for which no value works (Refused).
//
// It is pure, and it decides nothing: a leak is a leak whether or not it is
// known. Whatever can be measured does not belong here.
package known
