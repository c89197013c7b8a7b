//go:build !linux

package sys

func nice() (int, error) { return 0, Unsupported("getpriority") }

func setNiceOfAll(int) error { return Unsupported("setpriority") }

func oomScoreAdj() (int, error) { return 0, Unsupported("oom_score_adj") }
