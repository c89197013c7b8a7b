//go:build !unix

package daemonry

func enterRoot(plan) error { return nil } // there is no daemon here
