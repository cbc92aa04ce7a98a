//go:build race

package kernel_test

func init() { raceDetector = true }
