package native

import "fmt"

// Bounds of one file and of all in a run, far from what services need. The parser's time grows with
// the square of the keys of a table (it looks for those given twice one by one), and with the depth
// of what it builds.
const (
	maxDepth   = 32      // tables and arrays inside each other, and parts of a key
	maxKeys    = 20_000  // keys, tables and arrays of one file
	maxAllKeys = 200_000 // and of all files in one run
)

// scan looks at brackets, dots and equals signs outside of texts and comments alone, before
// anything is built. It returns how many keys, tables and arrays there are, and where and why it
// gave up if that is too much.
func scan(data []byte) (keys, at int, tooMuch string) {
	brackets, dots := 0, 0
	for at := 0; at < len(data); at++ {
		switch data[at] {
		case '"', '\'':
			at = textEnd(data, at)
		case '#':
			for at+1 < len(data) && data[at+1] != '\n' {
				at++
			}
		case '[', '{':
			brackets++
			keys++
			dots = 0
		case ']', '}':
			brackets = max(0, brackets-1)
		case '=':
			keys++
			dots = 0
		case ',', '\n':
			dots = 0
		case '.':
			keys++
			dots++
		}
		switch {
		case brackets > maxDepth || dots >= maxDepth:
			return keys, at, fmt.Sprintf("more than %d tables or arrays inside each other",
				maxDepth)
		case keys > maxKeys:
			return keys, at, fmt.Sprintf("more than %d keys, tables and arrays in one file",
				maxKeys)
		}
	}
	return keys, 0, ""
}

// textEnd returns where the text ends that begins with the quotation mark at data[at]; one that is
// not closed, with its line or the file.
func textEnd(data []byte, at int) int {
	mark := data[at]
	long := at+2 < len(data) && data[at+1] == mark && data[at+2] == mark
	if long {
		at += 2
	}
	for at++; at < len(data); at++ {
		switch {
		case data[at] == '\\' && mark == '"':
			at++
		case data[at] == '\n' && !long:
			return at
		case data[at] == mark && !long:
			return at
		case data[at] == mark && at+2 < len(data) && data[at+1] == mark && data[at+2] == mark:
			return at + 2
		}
	}
	return at
}
