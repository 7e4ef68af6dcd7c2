//go:build !(jepsen && planted)

package planted

// On says whether the mistake is to be made: never.
func On(string) bool { return false }
