package spawn

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
)

// interpreterIn returns what the kernel opens to execute a file that begins like this: the
// interpreter of a script, the dynamic loader of a program; "" for none. Package debug/elf would
// read much more, and bring much more.
func interpreterIn(head []byte) string {
	h, ok := elfOf(head)
	if !ok {
		return scriptInterpreter(head)
	}
	for s := range h.segments {
		if s.kind != ptInterp {
			continue
		}
		if s.at < s.end && s.end <= len(head) {
			name, _, _ := bytes.Cut(head[s.at:s.end], []byte{0})
			return string(name)
		}
		return ""
	}
	return ""
}

// What elf(5) says.
const (
	elfMagic = "\x7fELF"
	ptLoad   = 1
	ptInterp = 3

	atClass, atData, atType, atMachine = 4, 5, 16, 18

	etExec, etDyn = 2, 3

	elfHeadLen = 52 // of 32 bits; of 64 bits it is 64
)

type elfHead struct {
	b     []byte
	order binary.ByteOrder
	word  int // in bytes
}

func elfOf(head []byte) (h elfHead, ok bool) {
	h = elfHead{b: head, order: binary.LittleEndian, word: 8}
	if h.number(atData, 1) == 2 { // ELFDATA2MSB
		h.order = binary.BigEndian
	}
	if h.number(atClass, 1) == 1 { // ELFCLASS32
		h.word = 4
	}
	return h, bytes.HasPrefix(head, []byte(elfMagic))
}

// segment is an entry of the program header table: what it is, and where in the file it begins and
// ends; 0 where the head does not say.
type segment struct{ kind, at, end int }

func (h elfHead) segments(yield func(segment) bool) {
	table, size, offset, length := 32, 54, 8, 32
	if h.word == 4 {
		table, size, offset, length = 28, 42, 4, 16
	}
	entry, step, n := h.number(table, h.word), h.number(size, 2), h.number(size+2, 2)
	for range n {
		at := h.number(entry+offset, h.word)
		if !yield(segment{h.number(entry, 4), at, at + h.number(entry+length, h.word)}) {
			return
		}
		entry += step
	}
}

// end is where the last byte is that is loaded.
func (h elfHead) end() (last int) {
	for s := range h.segments {
		if s.kind == ptLoad {
			last = max(last, s.end)
		}
	}
	return last
}

// differsFrom says why a file is no program where the one with the head own is; that is nil where
// it is not known.
func (h elfHead) differsFrom(own []byte) error {
	if o, known := elfOf(own); known && h.what() != o.what() {
		return fmt.Errorf("it is for %s, and this program is for %s: %w", h.what(), o.what(),
			errNoProgram)
	}
	if kind := h.number(atType, 2); kind != etExec && kind != etDyn {
		return fmt.Errorf("an ELF file, but no program (type %d): %w", kind, errNoProgram)
	}
	return nil
}

// what it is for. The byte order is read from one byte, the machine in that order.
func (h elfHead) what() string {
	order := "little"
	if h.order == binary.BigEndian {
		order = "big"
	}
	return fmt.Sprintf("%s (%d bits, %s-endian)", machineName(h.number(atMachine, 2)), h.word*8,
		order)
}

// machineName is that of those that Go compiles for.
func machineName(machine int) string {
	switch machine {
	case 3:
		return "x86"
	case 8:
		return "MIPS"
	case 20:
		return "PowerPC"
	case 21:
		return "PowerPC64"
	case 22:
		return "S/390"
	case 40:
		return "ARM"
	case 62:
		return "x86-64"
	case 183:
		return "AArch64"
	case 243:
		return "RISC-V"
	case 258:
		return "LoongArch"
	}
	return "ELF machine " + strconv.Itoa(machine)
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
