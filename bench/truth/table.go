//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// row is a variant and what came of it.
type row struct {
	program           program
	variant           variant
	good              bool
	plain, detach, up []outcome
}

func newRow(p program, v variant, good bool) *row {
	return &row{program: p, variant: v, good: good}
}

// half is the most that a good program, which starts in less, is to wait for.
const half = 500 * time.Millisecond

func print(rows []*row, load int) {
	fmt.Printf("\nGood ones, beside %d busy loops. Medians, worst in brackets; "+
		"over: up after more than %v, though it serves in less; early: up before it served; not: "+
		"not called up.\n\n", load, half)
	fmt.Println("| | serves by itself after | `detach` up after | over | early | `up` up after | " +
		"over | early |")
	fmt.Println("|---|---|---|---|---|---|---|---|")
	for _, r := range rows {
		if r.good && len(r.up) > 0 {
			fmt.Printf("| %s | %s | %s | %s |\n",
				r.program.name, times(r.plain), waited(r.plain, r.detach), waited(r.plain, r.up))
		}
	}
	fmt.Println("\nWith a fault in the start. False: called up, and died of it.")
	failing(rows, false)
	fmt.Println("\nThat sleep by a timer before they die.")
	failing(rows, true)
	notes(rows)
}

func failing(rows []*row, asleep bool) {
	fmt.Println("\n| | fault | dies by itself after | `detach`: false | told after | `up`: false " +
		"| told after |")
	fmt.Println("|---|---|---|---|---|---|---|")
	var all, detached, upped int
	for _, r := range rows {
		if r.good || r.variant.asleep != asleep || len(r.up) == 0 {
			continue
		}
		fmt.Printf("| %s | %s | %s | %s | %s |\n",
			r.program.name, r.variant.name, times(r.plain), falsely(r.detach), falsely(r.up))
		all += len(r.detach)
		detached += count(r.detach, isFalse)
		upped += count(r.up, isFalse)
	}
	fmt.Printf("| all | | | %d of %d | | %d of %d | |\n", detached, all, upped, all)
}

func isFalse(o outcome) bool { return o.up && o.dead }

// times are the median and the worst.
func times(list []outcome) string {
	var took []time.Duration
	for _, o := range list {
		took = append(took, o.took)
	}
	slices.Sort(took)
	return fmt.Sprintf("%d ms (%d)",
		took[len(took)/2].Milliseconds(), took[len(took)-1].Milliseconds())
}

func waited(plain, list []outcome) string {
	over := 0
	for i, o := range list {
		if o.took > half && plain[i].took <= half {
			over++
		}
	}
	text := times(list)
	if n := count(list, func(o outcome) bool { return o.not }); n > 0 {
		text += fmt.Sprintf(", **%d not**", n)
	}
	return fmt.Sprintf("%s | %s | %s",
		text, dash(over), dash(count(list, func(o outcome) bool { return o.early })))
}

func dash(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

func falsely(list []outcome) string {
	n := count(list, isFalse)
	text := "0"
	if n > 0 {
		var lived time.Duration
		for _, o := range list {
			lived = max(lived, o.lived)
		}
		text = fmt.Sprintf("**%d of %d**, dead up to %d ms later",
			n, len(list), lived.Milliseconds())
	}
	return text + " | " + times(list)
}

func count(list []outcome, what func(outcome) bool) (n int) {
	for _, o := range list {
		if what(o) {
			n++
		}
	}
	return n
}

// notes says what was noted of good ones, such as that one counts as up without being at rest.
func notes(rows []*row) {
	for _, r := range rows {
		if !r.good {
			continue
		}
		for name, list := range map[string][]outcome{"detach": r.detach, "up": r.up} {
			for _, o := range list {
				if strings.Contains(o.note, "counts as up") {
					fmt.Printf("\n%s, %s: %s", r.program.name, name, o.note)
				}
			}
		}
	}
	fmt.Println()
}
