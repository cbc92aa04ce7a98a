// Package simkernel is a simulated kernel for tests: namespaces whose sysctls
// leak in known ways. Only the sysctl tree is simulated. The real orchestrator
// (parent.Run), the real protocol over pipes and the real child.Serve run on it.
//
// Generate draws a kernel with planted leaks and the truth about them; Check
// holds a report against that truth and against what the kernel saw happen.
// What could not be seen in a run (a leak whose write was never made, an effect
// without a visible change) is not asked for; what was reported must be true.
//
// The host has two devices beside lo. In most kernels a namespace has their keys only
// once it was asked to make them, as the real child makes likenesses.
//
// Start reading in kernel.go (the machine), kinds.go (what is planted) and check.go.
//
// Time is time.Now and time.Sleep, so that tests run in testing/synctest
// bubbles. Everything is drawn from the seed.
//
// It is test support, which is why it may import both parent and child.
package simkernel
