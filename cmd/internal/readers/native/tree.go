package native

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// node is a value of a file with its place: that of its key, or its own in an
// array. Exactly one of table, list and value says what it is.
type node struct {
	at    place
	owner string // "service web", "defaults": for messages
	table map[string]*node
	list  []*node
	value any // string, int64, float64, bool or a date
}

// keys returns the keys of a table in the order of the file.
func (n *node) keys() []string {
	return slices.SortedFunc(maps.Keys(n.table), func(a, b string) int {
		x, y := n.table[a].at, n.table[b].at
		return cmp.Or(x.line-y.line, x.col-y.col, strings.Compare(a, b))
	})
}

// own gives n and all below it an owner.
func (n *node) own(owner string) {
	n.owner = owner
	for _, child := range n.table {
		child.own(owner)
	}
	for _, child := range n.list {
		child.own(owner)
	}
}

// kind names for people what a node is.
func (n *node) kind() string {
	switch v := n.value.(type) {
	case string:
		return "a text"
	case bool, int64, float64:
		return fmt.Sprint(v)
	case nil:
		if n.table != nil {
			return "a table"
		}
		return "an array"
	}
	return "a date"
}

// parseTree parses a file. go-toml's decoder judges the syntax, rejects keys
// given twice and makes the values; its parser then tells the places. room is how many keys there
// may still be in this run.
func parseTree(file string, data []byte, room *int) (*node, *Error) {
	// some editors begin with this; it has no place in their columns
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	fail := func(at int, hint, message string) (*node, *Error) {
		p := newPlaces(file, data).place(at)
		return nil, &Error{p.file, p.line, p.col, message, hint}
	}
	if at := invalidUTF8(data); at >= 0 {
		hint := ""
		if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
			hint = "it is UTF-16: save it as UTF-8"
		}
		return fail(at, hint, "the file is not UTF-8 text")
	}
	keys, at, tooMuch := scan(data)
	if tooMuch != "" {
		return fail(at, "", tooMuch)
	}
	if *room -= keys; *room < 0 {
		return fail(0, "",
			fmt.Sprintf("with this file, more than %d keys, tables and arrays in all", maxAllKeys))
	}
	values := map[string]any{}
	if err := toml.Unmarshal(data, &values); err != nil {
		e := &Error{File: file, Line: 1, Col: 1, Message: strings.TrimPrefix(err.Error(), "toml: ")}
		if decode, ok := errors.AsType[*toml.DecodeError](err); ok {
			e.Line, e.Col = decode.Position()
			e.inWords(data)
		}
		return nil, e
	}
	p := newPlaces(file, data)
	p.walk()
	return p.tree(values, 0, place{file, 1, 1}), nil
}

func invalidUTF8(data []byte) int {
	for at := 0; at < len(data); {
		r, size := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && size == 1 {
			return at
		}
		at += size
	}
	return -1
}

// places knows where each key and array element of a file stands. A path is a number, 0 for the
// file itself: texts of the whole way would take the square of a long key.
type places struct {
	file   string
	data   []byte
	starts []int // offsets of lines
	paths  map[step]int
	at     []place     // by path; the zero place: none of its own
	tables map[int]int // elements so far of each array of tables
}

// step leads from a path to one below it: by a key, or by the index of an element, in which case
// key is empty.
type step struct {
	from  int
	key   string
	index int
}

func byKey(from int, key string) step  { return step{from, key, -1} }
func byIndex(from int, index int) step { return step{from, "", index} }

func newPlaces(file string, data []byte) *places {
	p := &places{
		file:   file,
		data:   data,
		starts: []int{0},
		paths:  map[step]int{},
		at:     make([]place, 1),
		tables: map[int]int{},
	}
	for at, c := range data {
		if c == '\n' {
			p.starts = append(p.starts, at+1)
		}
	}
	return p
}

func (p *places) place(offset int) place {
	line := sort.SearchInts(p.starts, offset+1)
	return place{p.file, line, offset - p.starts[line-1] + 1}
}

// join returns the path that a step leads to.
func (p *places) join(s step) int {
	path, ok := p.paths[s]
	if !ok {
		path = len(p.at)
		p.paths[s] = path
		p.at = append(p.at, place{})
	}
	return path
}

// walk notes the places of everything in the file.
func (p *places) walk() {
	var parser unstable.Parser
	parser.Reset(p.data)
	table := 0
	for parser.NextExpression() {
		e := parser.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = p.header(e)
		case unstable.KeyValue:
			p.keyValue(table, e)
		}
	}
}

// header notes a [table] or [[array.of.tables]] and returns its path.
func (p *places) header(e *unstable.Node) int {
	path := 0
	for keys := e.Key(); keys.Next(); {
		key := keys.Node()
		path = p.join(byKey(path, string(key.Data)))
		p.note(path, key)
		if keys.IsLast() && e.Kind == unstable.ArrayTable {
			p.tables[path]++
		}
		if n := p.tables[path]; n > 0 {
			path = p.join(byIndex(path, n-1))
			p.note(path, key)
		}
	}
	return path
}

func (p *places) keyValue(path int, e *unstable.Node) {
	for keys := e.Key(); keys.Next(); {
		path = p.join(byKey(path, string(keys.Node().Data)))
		p.note(path, keys.Node())
	}
	p.values(path, e.Value())
}

// values notes the places inside an array or an inline table.
func (p *places) values(path int, value *unstable.Node) {
	switch value.Kind {
	case unstable.InlineTable:
		for children := value.Children(); children.Next(); {
			if child := children.Node(); child.Kind == unstable.KeyValue {
				p.keyValue(path, child)
			}
		}
	case unstable.Array:
		n := 0
		for children := value.Children(); children.Next(); {
			child := children.Node()
			if child.Kind == unstable.Comment {
				continue
			}
			element := p.join(byIndex(path, n))
			if child.Raw.Length > 0 {
				p.note(element, child)
			}
			p.values(element, child)
			n++
		}
	}
}

// note keeps the first place: a table may be named again by its subtables.
func (p *places) note(path int, n *unstable.Node) {
	if p.at[path] == (place{}) {
		p.at[path] = p.place(int(n.Raw.Offset))
	}
}

// tree joins values and places. What has no place of its own has its parent's.
func (p *places) tree(value any, path int, parent place) *node {
	n := &node{at: parent}
	if at := p.at[path]; path != 0 && at != (place{}) {
		n.at = at
	}
	switch v := value.(type) {
	case map[string]any:
		n.table = make(map[string]*node, len(v))
		for key, child := range v {
			n.table[key] = p.tree(child, p.join(byKey(path, key)), n.at)
		}
	case []any:
		n.list = make([]*node, len(v))
		for i, child := range v {
			n.list[i] = p.tree(child, p.join(byIndex(path, i)), n.at)
		}
	default:
		n.value = v
	}
	return n
}
