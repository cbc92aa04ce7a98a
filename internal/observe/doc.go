// Package observe is what is watched on the host: its sysctls below net/, and on
// request the rest of them, tables of /proc/net, and the list of loaded modules.
// All of it is one tree of places (sysctl.Tree), so that whoever compares trees
// needs to know nothing of kinds. Only sysctls can be written.
//
// What a change means does not belong here: see parent.
package observe
