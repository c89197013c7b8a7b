package sys

import (
	"fmt"
	"unsafe"
)

// Overlay lays a T over the beginning of mem, for structures in memory that other processes map
// too. T must hold no pointer, and nothing may keep the result once mem is unmapped. It panics if
// mem is too small or not aligned for a T, which a mapping never is.
func Overlay[T any](mem []byte) *T {
	var t T
	p := unsafe.Pointer(unsafe.SliceData(mem))
	if uintptr(len(mem)) < unsafe.Sizeof(t) || uintptr(p)%unsafe.Alignof(t) != 0 {
		panic(fmt.Sprintf("sys: overlay of %d bytes on %d at %p", unsafe.Sizeof(t), len(mem), p))
	}
	return (*T)(p)
}
