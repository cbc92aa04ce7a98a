// Package child is what runs inside a namespace: it serves the parent's
// requests on one sysctl tree. One program serves every role (writer, sibling,
// later, control); what a role is for, only the parent knows.
//
// It decides nothing about leaks and knows nothing of other namespaces.
package child
