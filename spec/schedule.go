package spec

import (
	"math/bits"
	"strconv"
	"strings"
)

// Set is a set of small numbers, one bit each.
type Set uint64

// Has tells whether n is in the set.
func (s Set) Has(n int) bool { return n >= 0 && n < 64 && s&(1<<n) != 0 }

// Values returns the numbers in ascending order.
func (s Set) Values() []int {
	values := make([]int, 0, bits.OnesCount64(uint64(s)))
	for ; s != 0; s &= s - 1 {
		values = append(values, bits.TrailingZeros64(uint64(s)))
	}
	return values
}

// Schedule is a set of minutes, written as the five fields of crontab(5):
// minute, hour, day of month, month, day of week (0 is Sunday, 7 too), each
// "*", a number, a range "1-5", a step "*/10" or "8-18/2", or a list of these;
// months and days of week also by their first three letters. Or "@hourly",
// "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually".
//
// As in crontab(5), where both days are restricted either is enough.
// The zero value is no schedule.
type Schedule struct {
	Minute, Hour, Day, Month, Weekday Set
}

type cronField struct {
	name     string
	min, max int
	names    []string // of min, min+1, …
}

var cronFields = [5]cronField{
	{name: "minute", max: 59},
	{name: "hour", max: 23},
	{name: "day of month", min: 1, max: 31},
	{name: "month", min: 1, max: 12, names: []string{"jan", "feb", "mar", "apr", "may", "jun",
		"jul", "aug", "sep", "oct", "nov", "dec"}},
	{name: "day of week", max: 7, names: []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
}

var cronNames = map[string]string{
	"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
	"@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
}

// ParseSchedule reads the text form.
func ParseSchedule(text string) (Schedule, error) {
	fields := strings.Fields(text)
	if full, ok := cronNames[text]; ok {
		fields = strings.Fields(full)
	}
	if text == "@reboot" {
		return Schedule{}, hintf("set autostart", "a service that runs at boot needs no schedule")
	}
	if len(fields) != len(cronFields) {
		return Schedule{}, hintf(`write "MINUTE HOUR DAY MONTH WEEKDAY" or "@daily"`,
			"schedule %q has %d fields, not 5", text, len(fields))
	}
	var s Schedule
	for i, dst := range []*Set{&s.Minute, &s.Hour, &s.Day, &s.Month, &s.Weekday} {
		var err error
		if *dst, err = cronFields[i].parse(fields[i]); err != nil {
			return Schedule{}, err
		}
	}
	if s.Weekday.Has(7) {
		s.Weekday = s.Weekday&^(1<<7) | 1
	}
	return s, nil
}

func (f *cronField) parse(text string) (Set, error) {
	var set Set
	for part := range strings.SplitSeq(text, ",") {
		span, stepText, hasStep := strings.Cut(part, "/")
		low, high, ok := f.span(span)
		step := 1
		if hasStep {
			n, err := strconv.Atoi(stepText)
			ok = ok && err == nil && n > 0
			// a longer one reaches no further, and the sum below must not overflow
			step = min(n, f.max+1)
			if !strings.Contains(span, "-") { // "5/10" is "5-59/10"
				high = f.max
			}
		}
		if !ok || low < f.min || high > f.max || low > high {
			return 0, hintf(
				"it is "+strconv.Itoa(f.min)+" to "+strconv.Itoa(f.max)+", a range, a step or *",
				"%q is not a %s", part, f.name,
			)
		}
		for n := low; n <= high; n += step {
			set |= 1 << n
		}
	}
	return set, nil
}

// span reads "*", "N" or "N-M".
func (f *cronField) span(text string) (low, high int, ok bool) {
	if text == "*" {
		return f.min, f.wrap(), true
	}
	first, last, isRange := strings.Cut(text, "-")
	low, ok = f.number(first)
	high = low
	if isRange && ok {
		high, ok = f.number(last)
	}
	return low, high, ok
}

// wrap is the largest value that is not a second name of another: 6 for the
// day of week.
func (f *cronField) wrap() int {
	if f.max == 7 {
		return 6
	}
	return f.max
}

func (f *cronField) number(text string) (int, bool) {
	for i, name := range f.names {
		if strings.EqualFold(name, text) {
			return f.min + i, true
		}
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && text[0] != '+' && text[0] != '-'
}

// all is the set that "*" stands for.
func (f *cronField) all() Set {
	var set Set
	for n := f.min; n <= f.wrap(); n++ {
		set |= 1 << n
	}
	return set
}

// sets returns the five sets in the order of crontab(5).
func (s Schedule) sets() [5]Set { return [5]Set{s.Minute, s.Hour, s.Day, s.Month, s.Weekday} }

// Restricted tells which of the days of month and of week are not "*".
func (s Schedule) Restricted() (day, weekday bool) {
	return s.Day != cronFields[2].all(), s.Weekday != cronFields[4].all()
}

func (s Schedule) valid() bool {
	if s == (Schedule{}) {
		return true
	}
	for i, set := range s.sets() {
		if set == 0 || set&^cronFields[i].all() != 0 {
			return false
		}
	}
	return true
}

// String returns five fields that ParseSchedule reads back; "" for none.
func (s Schedule) String() string {
	if s == (Schedule{}) {
		return ""
	}
	var out [5]string
	for i, set := range s.sets() {
		out[i] = fieldText(set, cronFields[i].all())
	}
	return strings.Join(out[:], " ")
}

// fieldText writes a set as "*" or as a list of numbers and ranges.
func fieldText(set, all Set) string {
	if set == all {
		return "*"
	}
	var parts []string
	for values := set.Values(); len(values) > 0; {
		n := 1
		for n < len(values) && values[n] == values[0]+n {
			n++
		}
		text := strconv.Itoa(values[0])
		if n > 1 {
			text += "-" + strconv.Itoa(values[n-1])
		}
		parts = append(parts, text)
		values = values[n:]
	}
	return strings.Join(parts, ",")
}

// MarshalText returns [Schedule.String].
func (s Schedule) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is ParseSchedule.
func (s *Schedule) UnmarshalText(text []byte) error { return parseInto(s, text, ParseSchedule) }
