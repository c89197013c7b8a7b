//go:build linux

package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// print writes the medians as a Markdown table.
func print(n int, list []manager, found map[string][]figures, base map[string]int64) {
	fmt.Printf("\n### %d services\n\n", n)
	fmt.Println("| | up per second | | memory | over one service | processes | threads | " +
		"descriptors | idle CPU | restart p50 | p99 | `status` | stop all |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|---|---|---|---|")
	var loop float64
	for _, m := range list {
		all := found[m.name()]
		if len(all) == 0 {
			fmt.Printf("| %s | not reached |%s\n", m.name(), " |||||||||||")
			continue
		}
		rate := float64(n) / median(all,
			func(f figures) time.Duration { return f.started }).Seconds()
		if loop == 0 {
			loop = rate
		}
		pss := median(all, func(f figures) int64 { return f.pss })
		fmt.Printf(
			"| %s | %.0f | %.2f× | %.1f MB | %.1f KB each | %d | %d | %d | %s | %s | %s | %s | "+
				"%s |\n",
			m.name(), rate, rate/loop,
			float64(pss)/1e6,
			float64(pss-base[m.name()])/1e3/float64(max(n-1, 1)),
			median(all, func(f figures) int { return f.processes }),
			median(all, func(f figures) int { return f.threads }),
			median(all, func(f figures) int { return f.descriptors }),
			percent(all[len(all)-1].idle),
			ms(median(all, func(f figures) time.Duration { return f.p50 })),
			late(all)+ms(median(all, func(f figures) time.Duration { return f.p99 })),
			ms(median(all, func(f figures) time.Duration { return f.statusTime })),
			ms(median(all, func(f figures) time.Duration { return f.stopped })),
		)
	}
}

// late says how many of the killed did not come back.
func late(all []figures) string {
	n := 0
	for _, f := range all {
		n += f.lateRestarts
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d not back; ", n)
}

func percent(part float64) string {
	if math.IsNaN(part) {
		return ""
	}
	return fmt.Sprintf("%.2f %%", part*100)
}

func ms(d time.Duration) string {
	switch {
	case d == 0:
		return ""
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1e3)
	case d < time.Second:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1e3)
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// median returns the middle one of a figure's values.
func median[T cmp.Ordered](all []figures, figure func(figures) T) T {
	values := make([]T, len(all))
	for i, f := range all {
		values[i] = figure(f)
	}
	slices.Sort(values)
	return values[len(values)/2]
}
