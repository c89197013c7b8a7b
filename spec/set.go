package spec

import (
	"fmt"
	"slices"
	"strings"
)

// dependencyList is one of the three fields that name other services.
type dependencyList struct {
	field string
	names *[]string
}

func (s *Service) dependencyLists() []dependencyList {
	return []dependencyList{{"after", &s.After}, {"requires", &s.Requires}, {"wants", &s.Wants}}
}

// ValidateSet returns everything that is wrong with services as a whole: what
// [Service.Validate] says of each, names given twice, dependencies that do not
// exist, and cycles among them. The services may have instances or be those
// that [ExpandSet] made.
func ValidateSet(services []Service) Problems {
	var list Problems
	for _, s := range services {
		list = append(list, s.Validate()...)
	}
	total := 0
	for _, s := range services {
		total += max(1, s.Instances)
	}
	if total > maxServices {
		return append(list, Problem{"", "",
			fmt.Sprintf("%d services and instances are more than %d", total, maxServices), ""})
	}
	if tooManyEdges(services) {
		return append(list, Problem{"", "",
			fmt.Sprintf("more than %d dependencies of one service or instance upon another",
				maxEdges), ""})
	}
	list = append(list, sameNames(services)...)
	g := newGraph(services)
	for _, s := range services {
		for _, dep := range s.dependencyLists() {
			for i, name := range *dep.names {
				if len(g.find(name)) == 0 && dep.field != "after" {
					field := fmt.Sprintf("%s[%d]", dep.field, i)
					list = append(list, Problem{s.Name, field,
						fmt.Sprintf("there is no service %q", name), g.near(name)})
				}
			}
		}
	}
	if cycle := g.cycle(); len(cycle) > 2 { // Validate told of a → a
		list = append(list,
			Problem{cycle[0], "", "waits for itself: " + strings.Join(cycle, " → "), ""})
	}
	return list
}

// Bounds of what one set may ask of memory and time.
const (
	maxServices = 20_000
	maxEdges    = 1_000_000 // of one service or instance to another
)

// tooManyEdges says whether instances that depend on instances make more edges than maxEdges.
func tooManyEdges(services []Service) bool {
	count := map[string]int{}
	for _, s := range services {
		count[s.Name] = max(1, s.Instances)
		if base := s.BaseName(); base != s.Name {
			count[base]++
		}
	}
	edges := 0
	for _, s := range services {
		for _, dep := range s.dependencyLists() {
			for _, name := range *dep.names {
				if edges += max(1, s.Instances) * max(1, count[name]); edges > maxEdges {
					return true
				}
			}
		}
	}
	return false
}

// sameNames reports names that two services or instances have.
func sameNames(services []Service) Problems {
	var list Problems
	seen := map[string]bool{}
	for _, s := range services {
		names := []string{s.Name}
		if s.Instances > 0 {
			names = make([]string, s.Instances)
			for i := range names {
				names[i] = instanceName(s.Name, i+1)
			}
		}
		for _, name := range names {
			if seen[name] {
				list = append(list,
					Problem{s.Name, "name", fmt.Sprintf("there are two services %q", name), ""})
				break
			}
			seen[name] = true
		}
	}
	return list
}

// graph has an edge from each service to every one it waits for.
type graph struct {
	names []string
	index map[string][]int // by name, and by the name before "@"
	edges [][]int
}

func newGraph(services []Service) *graph {
	g := &graph{index: map[string][]int{}, edges: make([][]int, len(services))}
	for i, s := range services {
		g.names = append(g.names, s.Name)
		g.index[s.Name] = append(g.index[s.Name], i)
		if base := s.BaseName(); base != s.Name {
			g.index[base] = append(g.index[base], i)
		}
		// web@2 of a service web that is not expanded is web.
		for n := 1; n <= min(s.Instances, maxInstances); n++ {
			name := instanceName(s.Name, n)
			g.index[name] = append(g.index[name], i)
		}
	}
	for i := range services {
		for _, dep := range services[i].dependencyLists() {
			for _, name := range *dep.names {
				g.edges[i] = append(g.edges[i], g.find(name)...)
			}
		}
	}
	return g
}

func (g *graph) find(name string) []int { return g.index[name] }

// near names the service whose name is most like name.
func (g *graph) near(name string) string {
	if best := Nearest(name, g.names); best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return ""
}

// cycle returns the names along one cycle, the first one again at the end, or
// nil. It walks with a stack of its own: a chain may be as long as a file.
func (g *graph) cycle() []string {
	const (
		unseen = iota
		open
		done
	)
	state := make([]int, len(g.names))
	next := make([]int, len(g.names)) // the edge to follow
	for start := range g.names {
		if state[start] != unseen {
			continue
		}
		path := []int{start}
		state[start] = open
		for len(path) > 0 {
			at := path[len(path)-1]
			if next[at] == len(g.edges[at]) {
				state[at] = done
				path = path[:len(path)-1]
				continue
			}
			to := g.edges[at][next[at]]
			next[at]++
			switch state[to] {
			case unseen:
				state[to] = open
				path = append(path, to)
			case open:
				return g.namesOf(append(path[slices.Index(path, to):], to))
			}
		}
	}
	return nil
}

func (g *graph) namesOf(path []int) []string {
	var names []string
	for _, at := range path {
		names = append(names, g.names[at])
	}
	return names
}

// Nearest returns the candidate that is most like name, or "" if none is like
// it: for "did you mean".
func Nearest(name string, candidates []string) string {
	best, bestDistance := "", len(name)/3+2
	for _, c := range candidates {
		if d := distance(name, c, bestDistance); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance is the number of bytes to insert, remove, change or swap with their
// neighbour to make b of a, or limit if it is not below (optimal string
// alignment).
func distance(a, b string, limit int) int {
	if len(a) > maxName || len(b) > maxName {
		return limit
	}
	var rows [3][maxName + 1]int
	before, last, row := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(change, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return min(last[len(b)], limit)
}
