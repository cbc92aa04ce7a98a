// Package netns starts processes in network namespaces of their own, and observes the end
// of those namespaces. Machine is its face, Linux the one that real runs use. What is said to
// a child, and when, does not belong here (parent/client).
package netns
