package systemd

import (
	"fmt"
	"strconv"
	"strings"

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
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = fmt.Sprintf("%02d", v)
	}
	return strings.Join(texts, ",")
}

func names(set spec.Set) []string {
	var all []string
	for _, n := range set.Values() {
		if n < len(weekdays) {
			all = append(all, weekdays[n])
		} else {
			all = append(all, strconv.Itoa(n))
		}
	}
	return all
}
