package spawn

import (
	"bytes"
	"encoding/binary"
)

// interpreterIn returns what the kernel opens to execute a file that begins like this: the
// interpreter of a script, the dynamic loader of a program; "" for none. Package debug/elf would
// read much more, and bring much more.
func interpreterIn(head []byte) string {
	if !bytes.HasPrefix(head, []byte("\x7fELF")) {
		return scriptInterpreter(head)
	}
	h := elfHead{b: head, order: binary.LittleEndian}
	if h.number(5, 1) == 2 { // EI_DATA: ELFDATA2MSB
		h.order = binary.BigEndian
	}
	word, table, size, offset, length := 8, 32, 54, 8, 32 // of elf(5), for 64 bits
	if h.number(4, 1) == 1 {                              // EI_CLASS: ELFCLASS32
		word, table, size, offset, length = 4, 28, 42, 4, 16
	}
	entry, step, n := h.number(table, word), h.number(size, 2), h.number(size+2, 2)
	for range n {
		if h.number(entry, 4) == ptInterp {
			at, end := h.number(entry+offset, word), h.number(entry+length, word)
			if end += at; at < end && end <= len(head) {
				name, _, _ := bytes.Cut(head[at:end], []byte{0})
				return string(name)
			}
			return ""
		}
		entry += step
	}
	return ""
}

const ptInterp = 3 // PT_INTERP

type elfHead struct {
	b     []byte
	order binary.ByteOrder
}

// number reads an unsigned number of so many bytes; what is not in the head is 0.
func (h elfHead) number(at, size int) int {
	if at < 0 || at > len(h.b)-size {
		return 0
	}
	b := h.b[at : at+size]
	switch size {
	case 1:
		return int(b[0])
	case 2:
		return int(h.order.Uint16(b))
	case 4:
		return int(h.order.Uint32(b))
	}
	return int(h.order.Uint64(b) & (1<<40 - 1)) // more than any file has
}
