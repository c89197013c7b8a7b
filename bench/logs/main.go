// Command logs measures how fast a log engine takes what services print, beside the programs people
// use for that.
//
// For each way of writing (bytes per write, number of services) and each format it starts the
// logger, then the producers, and prints one row a logger:
//
//	MB/s     what the producers together got rid of, from the first write to the last one's return
//	cpu s/GB user and system time of the logger for a gigabyte
//	PSS      memory of the logger's processes after the producers are done
//
// Each number is the best of all runs: whatever else the machine does can only make one worse.
//
// With -latency it measures instead how long a line takes from write(2) until a reader of the file
// can see it, with -quiet N the memory of loggers for N services that say nothing.
//
//	sh bench/logs/install.sh          # svlogd, s6-log, multilog, supervisord
//	go run ./bench/logs               # everything: some minutes
//	go run ./bench/logs -only cat,daemonry -services 1 -format plain
//	go run ./bench/logs -latency
//	go run ./bench/logs -quiet 1000
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

const roleEnv = "DAEMONRY_BENCH_ROLE"

func main() {
	log.SetFlags(0)
	if os.Getenv(roleEnv) == "produce" {
		produce(os.Args[1:])
		return
	}
	only := flag.String("only", "",
		"loggers to run, separated by commas (default: all that are installed)")
	services := flag.String("services", "1,100", "numbers of services")
	writes := flag.String("writes", "100,4096,65536", "bytes per write")
	formats := flag.String("format", "plain,stamp,json", "formats")
	total := flag.Int64("bytes", 1<<30,
		"bytes to carry in each run (a quarter of it with 100-byte writes)")
	runs := flag.Int("runs", 3, "runs of which the best is taken")
	lat := flag.Bool("latency", false, "measure the delay of single lines")
	mute := flag.Int("quiet", 0, "measure the memory for so many services that say nothing")
	dir := flag.String("dir", "", "directory for the logs (default: a temporary one)")
	flag.Parse()

	base, err := os.MkdirTemp(*dir, "bench-logs-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(base)
	var names []string
	if *only != "" {
		names = strings.Split(*only, ",")
	}
	engine, err := build(base)
	check(err)
	chosen := slices.DeleteFunc(loggers(engine), func(l logger) bool {
		return names != nil && !slices.Contains(names, l.name) || !l.installed()
	})
	if *lat {
		latencies(base, chosen)
		return
	}
	if *mute > 0 {
		quiet(base, chosen, *mute)
		return
	}
	for _, format := range strings.Split(*formats, ",") {
		for _, n := range ints(*services) {
			for _, w := range ints(*writes) {
				bytes := *total
				if w <= 512 {
					bytes /= 4
				}
				table(base, chosen, job{format: format, services: n, write: w, bytes: bytes}, *runs)
			}
		}
	}
}

func ints(list string) []int {
	var out []int
	for _, s := range strings.Split(list, ",") {
		n, err := strconv.Atoi(s)
		if err != nil {
			log.Fatal(err)
		}
		out = append(out, n)
	}
	return out
}

// job is one way of writing.
type job struct {
	format          string
	services, write int
	bytes           int64
}

// result is what one run gave.
type result struct {
	mbs, cpu float64
	pss      int64
	err      error
}

// table prints a row for each logger. The runs of the loggers alternate, so that a slow minute of
// the machine hits them alike.
func table(base string, chosen []logger, j job, runs int) {
	fmt.Printf("\n%s, %d service(s), %d-byte writes, %d MB\n",
		j.format, j.services, j.write, j.bytes/1e6)
	fmt.Printf("  %-12s %8s %9s %9s\n", "", "MB/s", "cpu s/GB", "PSS KiB")
	results := make(map[string][]result)
	for range runs {
		for _, l := range chosen {
			if l.args(j.format) == nil {
				continue
			}
			results[l.name] = append(results[l.name], run(base, l, j))
		}
	}
	for _, l := range chosen {
		rs := results[l.name]
		if len(rs) == 0 {
			continue
		}
		if i := slices.IndexFunc(rs, func(r result) bool { return r.err != nil }); i >= 0 {
			fmt.Printf("  %-12s %v\n", l.name, rs[i].err)
			continue
		}
		best := rs[0]
		for _, r := range rs[1:] {
			best = result{
				mbs: max(best.mbs, r.mbs),
				cpu: min(best.cpu, r.cpu),
				pss: min(best.pss, r.pss),
			}
		}
		fmt.Printf("  %-12s %8.0f %9.2f %9d\n", l.name, best.mbs, best.cpu, best.pss)
	}
}

// quiet prints what loggers take for services that say nothing.
func quiet(base string, chosen []logger, n int) {
	fmt.Printf("%d services that say nothing\n  %-12s %9s\n", n, "", "PSS KiB")
	for _, l := range chosen {
		pss, err := memory(base, l, n)
		if err != nil {
			fmt.Printf("  %-12s %v\n", l.name, err)
			continue
		}
		fmt.Printf("  %-12s %9d\n", l.name, pss)
	}
}

// latencies prints the delay between a write and its being in the file, for one line every 20 ms.
func latencies(base string, chosen []logger) {
	fmt.Printf("delay of a line until it is in the file, one every 20 ms\n  %-12s %10s %10s\n",
		"", "median", "worst")
	for _, l := range chosen {
		d, err := latency(base, l)
		if err != nil {
			fmt.Printf("  %-12s %v\n", l.name, err)
			continue
		}
		slices.Sort(d)
		fmt.Printf("  %-12s %10v %10v\n",
			l.name, d[len(d)/2].Round(time.Microsecond), d[len(d)-1].Round(time.Microsecond))
	}
}
