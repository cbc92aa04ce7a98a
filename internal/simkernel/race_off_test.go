//go:build !race

package simkernel

const raceDetector = false
