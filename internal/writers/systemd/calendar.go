package systemd

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/daemonry/daemonry/internal/writers"
	"github.com/daemonry/daemonry/spec"
)

var weekdays = [7]string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}

// calendar writes a schedule as calendar events (systemd.time(7)). Where both
// days are restricted, crontab(5) wants either and a calendar event both: then
// there are two events.
func calendar(s spec.Schedule) []string {
	day, weekday := s.Restricted()
	event := func(withDay, withWeekday bool) string {
		text := ""
		if withWeekday {
			text = strings.Join(names(s.Weekday), ",") + " "
		}
		days := "*"
		if withDay {
			days = numbers(s.Day, 31)
		}
		return fmt.Sprintf("%s*-%s-%s %s:%s:00",
			text, numbers(s.Month, 12), days, numbers(s.Hour, 24), numbers(s.Minute, 60))
	}
	if day && weekday {
		return []string{event(true, false), event(false, true)}
	}
	return []string{event(day, weekday)}
}

// numbers lists a set that has n numbers at most; all of them are "*".
func numbers(set spec.Set, n int) string {
	values := set.Values()
	if len(values) == n {
		return "*"
	}
	two := func(n int) string { return fmt.Sprintf("%02d", n) }
	return strings.Join(writers.Each(values, two), ",")
}

func names(set spec.Set) []string {
	return writers.Each(set.Values(), func(n int) string {
		if n < len(weekdays) {
			return weekdays[n]
		}
		return strconv.Itoa(n)
	})
}
