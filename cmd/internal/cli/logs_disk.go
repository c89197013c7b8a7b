package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/daemonry/daemonry/cmd/internal/logs/query"
	"github.com/daemonry/daemonry/internal/paths"
)

// logUsage is what a log takes on the disk.
type logUsage struct {
	Name  string `json:"name"`           // of the service
	Gone  bool   `json:"gone,omitempty"` // there is no such service any more
	Path  string `json:"path"`           // of the current file; the others are beside it
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
}

// logsDisk prints who uses how much.
func (a *app) logsDisk(ctx context.Context, call *logsCall, names []string) error {
	found, err := a.findLogs(ctx, names)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		p, err := paths.Find()
		if err != nil {
			return err
		}
		if found, err = withLeft(found, p.Log); err != nil {
			return err
		}
	}
	usage, err := query.Disk(logsIn(found))
	if err != nil {
		return err
	}
	list := make([]logUsage, len(found))
	for i, u := range usage {
		list[i] = logUsage{Name: u.Service, Gone: found[i].gone, Path: u.Path, Files: u.Files,
			Bytes: u.Bytes}
	}
	slices.SortStableFunc(list, func(x, y logUsage) int {
		return cmp.Or(cmp.Compare(y.Bytes, x.Bytes), cmp.Compare(x.Name, y.Name))
	})
	if call.json {
		return a.writeJSON(list)
	}
	_, err = fmt.Fprint(a.out, usageTable(list, a.colours()))
	return err
}

// withLeft adds the logs in dir that belong to none of the services found.
func withLeft(found []foundLog, dir string) ([]foundLog, error) {
	known := map[string]bool{}
	for _, l := range found {
		known[l.Path] = true
	}
	left, err := query.InDir(dir, true)
	if err != nil {
		return nil, err
	}
	for _, l := range left {
		if !known[l.Path] {
			found = append(found, foundLog{Log: l, gone: true})
		}
	}
	return found, nil
}

// usageTable lays out what logs take, with the sum at the end.
func usageTable(list []logUsage, p palette) string {
	rows := [][3]string{{"NAME", "FILES", "SIZE"}}
	files, bytes := 0, int64(0)
	for _, u := range list {
		rows = append(rows, [3]string{printable(u.Name), strconv.Itoa(u.Files), bytesText(u.Bytes)})
		files, bytes = files+u.Files, bytes+u.Bytes
	}
	rows = append(rows, [3]string{"total", strconv.Itoa(files), bytesText(bytes)})
	var width [3]int
	for _, r := range rows {
		for i, cell := range r {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for i, r := range rows {
		colour, reset, path := "", "", "LOG"
		switch {
		case i == 0:
			colour, reset = p.dim, p.reset
		case i == len(rows)-1:
			path = ""
		default:
			if path = printable(list[i-1].Path); list[i-1].Gone {
				path += "  (no such service any more)"
			}
		}
		line := fmt.Sprintf("%-*s  %*s  %*s  %s",
			width[0], r[0], width[1], r[1], width[2], r[2], path)
		b.WriteString(colour + strings.TrimRight(line, " ") + reset + "\n")
	}
	return b.String()
}
