package kubernetes

import (
	"fmt"
	"strings"

	"github.com/daemonry/daemonry/internal/writers"
)

// object is a mapping in its order.
type object []pair

type pair struct {
	key   string
	value any // string, int64, bool, object, []any
}

func (o *object) add(key string, value any) { *o = append(*o, pair{key, value}) }

// emit writes a document. Every text, keys that the user chose included, is in
// double quotes, so that none is taken for a number or a truth value.
func emit(b *strings.Builder, indent string, o object) error {
	for _, p := range o {
		key := p.key
		if strings.Trim(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			var err error
			if key, err = quote(key); err != nil {
				return err
			}
		}
		b.WriteString(indent + key + ":")
		if err := emitValue(b, indent, p.value); err != nil {
			return err
		}
	}
	return nil
}

func emitValue(b *strings.Builder, indent string, v any) error {
	switch v := v.(type) {
	case object:
		if len(v) == 0 {
			b.WriteString(" {}\n")
			return nil
		}
		b.WriteByte('\n')
		return emit(b, indent+"  ", v)
	case []any:
		b.WriteByte('\n')
		for _, one := range v {
			if err := emitItem(b, indent, one); err != nil {
				return err
			}
		}
		return nil
	case string:
		text, err := quote(v)
		b.WriteString(" " + text + "\n")
		return err
	}
	fmt.Fprintf(b, " %v\n", v)
	return nil
}

// emitItem writes an element of a list; the first key of a mapping stands
// behind the dash.
func emitItem(b *strings.Builder, indent string, v any) error {
	o, ok := v.(object)
	if !ok {
		b.WriteString(indent + "-")
		return emitValue(b, indent, v)
	}
	var item strings.Builder
	if err := emit(&item, indent+"  ", o); err != nil {
		return err
	}
	b.WriteString(indent + "- " + strings.TrimPrefix(item.String(), indent+"  "))
	return nil
}

// quote writes a double-quoted scalar (YAML 1.2, section 7.3.1). What is not in
// its printable set, and what a reader may take for a line break, is escaped.
func quote(text string) (string, error) {
	return writers.DoubleQuoted("YAML", text,
		func(_ int, r rune) bool { return r == 0xfffe || r == 0xffff })
}
