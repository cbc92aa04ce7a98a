package sysctl

import "strings"

// Loopback is the device that every network namespace has.
const Loopback = "lo"

// Device is the network device that a key belongs to, and the key with "*" in
// place of it; both empty where it belongs to none. "all" and "default" are no
// devices, and no device may be called so (devinet_sysctl_register, net/ipv4/devinet.c).
func (k Key) Device() (name string, of Key) {
	e := strings.Split(string(k), "/")
	if len(e) != 5 || e[0] != "net" || e[2] != "conf" && e[2] != "neigh" || e[3] == "all" || e[3] == "default" {
		return "", ""
	}
	name, e[3] = e[3], "*"
	return name, Key(strings.Join(e, "/"))
}
