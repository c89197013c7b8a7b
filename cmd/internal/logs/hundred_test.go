package logs

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/daemonry/daemonry/cmd/internal/logs/layout"
	"github.com/daemonry/daemonry/cmd/internal/logs/query"
	"github.com/daemonry/daemonry/internal/sys"
)

func init() { helpers["printer"] = helperPrinter }

// printer makes the output of one run of one service: numbered lines of random length between 1
// byte and 1 MiB, always the same for the same name. A line's first byte differs between a run and
// the next, and occurs nowhere else, so that the place where one was killed and the next began can
// be seen.
type printer struct {
	name string
	rng  *rand.Rand
	n    int
}

func newPrinter(service, run int) *printer {
	return &printer{name: fmt.Sprintf("%c SERVICE %d RUN %d", 'a'+run%26, service, run),
		rng: rand.New(rand.NewPCG(uint64(service), uint64(run)))}
}

func (p *printer) line() []byte {
	size := int(math.Exp2(p.rng.Float64() * 20))
	b := fmt.Appendf(make([]byte, 0, size+60), "%s LINE %d ", p.name, p.n)
	p.n++
	for len(b) < size {
		b = binary.LittleEndian.AppendUint64(b,
			p.rng.Uint64()&0x0f0f0f0f0f0f0f0f|0x4040404040404040)
	}
	return append(b[:max(size, len(p.name)+8)], '\n')
}

// helperPrinter prints for ever, or so many bytes: service, run, bytes, and a file in which it
// notes how many bytes it has written, so that it is known when it has been killed.
func helperPrinter(args []string) error {
	service, _ := strconv.Atoi(args[0])
	run, _ := strconv.Atoi(args[1])
	limit, _ := strconv.ParseInt(args[2], 10, 64)
	f, err := os.OpenFile(args[3], os.O_RDWR, 0)
	if err != nil {
		return err
	}
	note, err := sys.MapShared(f, 8)
	if err != nil {
		return err
	}
	p := newPrinter(service, run)
	written := int64(0)
	for written < limit {
		l := p.line()
		for len(l) > 0 {
			n, err := os.Stdout.Write(l[:min(len(l), 10_000)])
			if err != nil {
				return err
			}
			l = l[n:]
			written += int64(n)
			binary.NativeEndian.PutUint64(note, uint64(written))
		}
	}
	return nil
}

// TestHundredServices is the promise as a whole: a hundred services print as fast as they are let,
// files are rotated and compressed, some services are killed and started again all the time, a
// reader follows them all. Every line is in the files and at the reader once, in order, unchanged.
func TestHundredServices(t *testing.T) {
	services, size, rotate := 100, int64(500_000), int64(100_000)
	kills, pace := 40, 10*time.Millisecond
	if os.Getenv("DAEMONRY_LONG") != "" {
		services, size, rotate = 100, 10_000_000, 1_000_000
		kills, pace = 300, 100*time.Millisecond // one in ten every second, for half a minute
	}
	r := newRig(t)
	var queries []query.Log
	var svcs []*printing
	for i := range services {
		id := fmt.Sprint("svc", i)
		s, w := r.open(t, id, Config{Rotate: Rotate{Size: rotate, Keep: -1, Compress: layout.Zstd}})
		queries = append(queries, query.Log{Service: id, Path: r.path(id + ".log")})
		svcs = append(svcs, &printing{t: t, service: i, dir: r.dir, size: size, s: s, end: w})
	}
	follow := startFollower(t, queries)
	for _, p := range svcs {
		p.start()
	}
	for range kills {
		svcs[rand.IntN(services)].kill()
		time.Sleep(pace) // not a synchronisation
	}
	for _, p := range svcs {
		p.wait()
		mustDrain(t, p.s)
	}
	for i, p := range svcs {
		want := p.check(unpack(t, queries[i].Path))
		follow.check(queries[i].Service, want)
	}
	follow.stop()
}

// printing is one service and what is known of what it has printed.
type printing struct {
	t       *testing.T
	service int
	dir     string
	size    int64
	s       *Stream
	end     *os.File
	cmd     *exec.Cmd
	notes   []string // one file a run
}

func (p *printing) start() {
	p.t.Helper()
	note := filepath.Join(p.dir, fmt.Sprintf("note.%d.%d", p.service, len(p.notes)))
	if err := os.WriteFile(note, make([]byte, 8), 0o600); err != nil {
		p.t.Fatal(err)
	}
	p.cmd = exec.Command(os.Args[0], strconv.Itoa(p.service), strconv.Itoa(len(p.notes)),
		strconv.FormatInt(p.size, 10), note)
	p.cmd.Env = append(os.Environ(), "DAEMONRY_TEST_HELPER=printer")
	p.cmd.Stdout, p.cmd.Stderr = p.end, os.Stderr
	p.notes = append(p.notes, note)
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
}

// kill kills the running process and starts the next.
func (p *printing) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
	p.start()
}

func (p *printing) wait() {
	p.t.Helper()
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("service %d: %v", p.service, err)
	}
}

// check compares the log with what each run printed, in order, and returns it.
func (p *printing) check(log []byte) []byte {
	rest := log
	for run, note := range p.notes {
		b, err := os.ReadFile(note)
		if err != nil {
			p.t.Fatal(err)
		}
		// It may have been killed between a write and its note.
		least := int(binary.NativeEndian.Uint64(b))
		pr := newPrinter(p.service, run)
		var want []byte
		for len(want) < least+10_000 {
			want = append(want, pr.line()...)
		}
		n := 0
		for n < len(want) && n < len(rest) && n < least+10_000 && want[n] == rest[n] {
			n++
		}
		if n < least {
			p.t.Fatalf("service %d run %d: it wrote %d bytes, the log has %d of them, then %.60q",
				p.service, run, least, n, rest[n:])
		}
		rest = rest[n:]
	}
	if len(rest) > 0 {
		p.t.Fatalf("service %d: %d bytes too many in the log: %.60q", p.service, len(rest), rest)
	}
	return log
}

// unpack returns everything in the log at path, rotated and compressed files first.
func unpack(t *testing.T, path string) []byte {
	t.Helper()
	var all []byte
	list, err := layout.List(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range append(list, layout.Rotated{Path: path}) {
		b, err := os.ReadFile(r.Path)
		if os.IsNotExist(err) && r.Compression == layout.None { // compressed just now
			r.Compression = layout.Zstd
			b, err = os.ReadFile(r.Path + ".zst")
		}
		if err != nil {
			t.Fatal(err)
		}
		if r.Compression == layout.Zstd {
			z, err := zstd.NewReader(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			b, err = io.ReadAll(z)
			z.Close()
			if err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, b...)
	}
	return all
}

// following is a reader of many logs, as they are written.
type following struct {
	t      *testing.T
	cancel context.CancelFunc
	done   chan error
	more   chan struct{} // it has got more

	mu   sync.Mutex
	have map[string]*bytes.Buffer
}

func startFollower(t *testing.T, logs []query.Log) *following {
	ctx, cancel := context.WithCancel(t.Context())
	f := &following{
		t:      t,
		cancel: cancel,
		done:   make(chan error, 1),
		more:   make(chan struct{}, 1),
		have:   map[string]*bytes.Buffer{},
	}
	for _, l := range logs {
		f.have[l.Service] = new(bytes.Buffer)
	}
	go func() { f.done <- query.Run(ctx, logs, query.Query{Follow: true}, f.take) }()
	return f
}

func (f *following) take(r query.Record) error {
	f.mu.Lock()
	b := f.have[r.Service]
	b.Write(r.Text)
	if !r.More {
		b.WriteByte('\n')
	}
	f.mu.Unlock()
	select {
	case f.more <- struct{}{}:
	default:
	}
	return nil
}

func (f *following) got(service string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.have[service].Bytes()
}

// check waits until the follower has seen all of want, but for an unfinished last line.
func (f *following) check(service string, want []byte) {
	f.t.Helper()
	want = want[:bytes.LastIndexByte(want, '\n')+1]
	timeout := time.After(5 * time.Minute)
	for len(f.got(service)) < len(want) {
		select {
		case <-f.more:
		case err := <-f.done:
			f.t.Fatalf("the follower ended: %v", err)
		case <-timeout:
			f.t.Fatalf("the follower has %d of %d bytes of %s",
				len(f.got(service)), len(want), service)
		}
	}
	if got := f.got(service); !bytes.Equal(got, want) {
		i := 0
		for i < len(want) && got[i] == want[i] {
			i++
		}
		f.t.Fatalf("%s: the follower has something else from byte %d on: %.60q, want %.60q",
			service, i, got[i:], want[min(i, len(want)):])
	}
}

func (f *following) stop() {
	f.cancel()
	if err := <-f.done; err != nil {
		f.t.Errorf("the follower: %v", err)
	}
}
