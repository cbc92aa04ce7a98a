// Package unpack undoes the compressions that kernels' packages and modules
// come in, never giving more than a limit: a small file may unpack to anything.
package unpack
