package loop

import (
	"slices"
	"sync"
	"time"
)

// jobs are what is done away from the owner, a few at a time.
//
// Births have places of their own. What takes longer than a job that waits for nobody has no place
// any more, so that others are not held up by it: a birth opens what its service names, and a log
// is written, on file systems that may not answer.
type jobs struct {
	most    int // places for births, and as many for others
	running int // all that are under way
	births  int // places that births have
	others  int // places that others have
	held    bool
	queue   []Job
}

// Job is work away from the owner.
type Job struct {
	Begin func()        // called by the owner when the work begins; may be nil
	Do    func() func() // what it returns is called by the owner
	Birth bool          // a process comes into being by it
}

// slowJob is how long a job has its place at most.
const slowJob = 250 * time.Millisecond

// Work runs f outside of the owner, as soon as there is a place, and what it returns by the owner.
// It is for what takes milliseconds of work, not for what waits.
func (l *Loop) Work(f func() func()) { l.Do(Job{Do: f}) }

// Do is Work for a job. It is called by the owner.
func (l *Loop) Do(j Job) {
	l.jobs.queue = append(l.jobs.queue, j)
	l.nextJob()
}

// HoldBirths keeps births from beginning until it is called with false. All else goes on: a dead
// process, say, has been reaped already, and until its last output is on disk only this program
// knows how it ended.
func (l *Loop) HoldBirths(hold bool) {
	l.jobs.held = hold
	l.nextJob()
}

// Busy says whether a job is under way.
func (l *Loop) Busy() bool { return l.jobs.running > 0 }

func (l *Loop) nextJob() {
	for {
		j, ok := l.jobs.next()
		if !ok {
			return
		}
		l.jobs.running++
		leave := l.jobs.enter(j.Birth)
		if j.Begin != nil {
			j.Begin()
		}
		slow := time.AfterFunc(slowJob, func() { l.Post(func() { leave(); l.nextJob() }) })
		go func() {
			then := j.Do()
			slow.Stop()
			l.Post(func() {
				l.jobs.running--
				leave()
				l.nextJob()
				then()
			})
		}()
	}
}

// next takes the job that is to be done next out of the queue, if there is one that has a place.
func (j *jobs) next() (next Job, ok bool) {
	births := !j.held && j.births < j.most
	others := j.others < j.most
	if !births && !others {
		return Job{}, false
	}
	at := slices.IndexFunc(j.queue,
		func(one Job) bool { return one.Birth && births || !one.Birth && others })
	if at < 0 {
		return Job{}, false
	}
	next = j.queue[at]
	if at == 0 {
		j.queue[0] = Job{}
		j.queue = j.queue[1:]
	} else {
		j.queue = slices.Delete(j.queue, at, at+1)
	}
	return next, true
}

// enter takes a place, which the function returned gives back, once.
func (j *jobs) enter(birth bool) (leave func()) {
	places := &j.others
	if birth {
		places = &j.births
	}
	*places++
	return sync.OnceFunc(func() { *places-- })
}
