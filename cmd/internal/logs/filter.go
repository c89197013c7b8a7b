package logs

import (
	"regexp"
	"time"

	"github.com/daemonry/daemonry/cmd/internal/logs/line"
	"github.com/daemonry/daemonry/cmd/internal/logs/stage"
)

// mask replaces what any of the patterns matches.
func mask(p []byte, patterns []*regexp.Regexp) []byte {
	for _, re := range patterns {
		if re.Match(p) { // ReplaceAll copies even where nothing matches
			p = re.ReplaceAllLiteral(p, []byte("***"))
		}
	}
	return p
}

// limiter holds back the lines of one stream beyond a rate: a bucket of tokens, one a line, that
// fills evenly.
type limiter struct {
	rate   Limit
	tokens float64
	last   time.Time
	open   [2]bool // each input is in the middle of a line
	cut    [2]bool // and that line is held back
	held   stage.Drop
}

func newLimiter(rate Limit) *limiter {
	return &limiter{rate: rate, tokens: float64(rate.Lines)}
}

func (l *limiter) fill(now time.Time) {
	if d := now.Sub(l.last); d > 0 && !l.last.IsZero() {
		l.tokens = min(float64(l.rate.Lines),
			l.tokens+float64(l.rate.Lines)*float64(d)/float64(l.rate.Per))
	}
	l.last = now
}

// admit says whether a piece of a line, n bytes with the newline that end says it has, passes. The
// pieces of a line share its fate.
func (l *limiter) admit(input line.Stream, n int, end bool, now time.Time) bool {
	if !l.open[input] {
		l.fill(now)
		l.cut[input] = l.tokens < 1
		if !l.cut[input] {
			l.tokens--
		} else {
			l.held.Lines++
		}
	}
	l.open[input] = !end
	if !l.cut[input] {
		return true
	}
	l.held.Bytes += int64(n)
	if l.held.First == 0 {
		l.held.First = now.UnixNano()
	}
	l.held.Last = now.UnixNano()
	return false
}

// ready says how long it takes until a line passes again.
func (l *limiter) ready(now time.Time) time.Duration {
	l.fill(now)
	if l.tokens >= 1 {
		return 0
	}
	return time.Duration((1-l.tokens)*float64(l.rate.Per)/float64(l.rate.Lines)) + 1
}
