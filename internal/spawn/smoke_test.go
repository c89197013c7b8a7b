package spawn

import (
	"fmt"
	"os"
	"testing"
	"time"
)

func TestSmoke(t *testing.T) {
	t0 := time.Now()
	f, _ := os.Create(t.TempDir() + "/out")
	l, err := Detach(&Spec{Path: "/bin/sh", Args: []string{"sh", "-c", "echo hi; ls -l /proc/self/fd; cat /proc/self/status | egrep 'Sig|Umask|PPid'; cat /proc/self/stat; exec sleep 100"}, Files: []File{{1, f}, {2, f}}, Dir: "/"})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(l.PID, time.Since(t0))
	time.Sleep(100 * time.Millisecond)
	b, _ := os.ReadFile(f.Name())
	fmt.Println(string(b))
	fmt.Println(l.Kill(time.Second))
	for _, s := range []Spec{
		{Path: "/nonexistent", Args: []string{"x"}},
		{Path: "/etc/passwd", Args: []string{"x"}},
		{Path: "/bin/true", Args: []string{"x"}, Dir: "/nowhere"},
		{Path: "/bin/true", Args: []string{"x"}, Chroot: "/nowhere"},
	} {
		_, err := Detach(&s)
		fmt.Println(err)
		_, err = Start(&s)
		fmt.Println(err)
	}
	t0 = time.Now()
	l, err = Detach(&Spec{Path: "/bin/sh", Args: []string{"sh", "-c", "sleep 50 & exit 7"}})
	for e := range l.Events {
		fmt.Println(e.Exit, time.Since(t0))
	}
	fmt.Println(time.Since(t0))
}
