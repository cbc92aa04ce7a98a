// Package client speaks with one child: it sends requests, checks the answers, and ends a
// child that is silent for too long. It is the only place that sends a request. What is asked
// of children, and why, does not belong here. Start with Client.
package client
