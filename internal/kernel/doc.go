// Package kernel is where a kernel to boot comes from: a file, with or without a
// directory of modules, or Debian packages, of which several may make up one.
//
// Packages are read as streams, within limits. Names in them are only looked at,
// never used as paths, and what is not a regular file is passed over. Nothing is
// unpacked to disk: modules stay in memory, compressed.
package kernel
