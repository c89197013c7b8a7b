package waiters

// Order is what somebody has asked for, in the word for it.
type Order string

const (
	Start   Order = "start"
	Stop    Order = "stop"
	Restart Order = "restart"
	Rolling Order = "rolling restart"
	Reload  Order = "reload"
	Remove  Order = "remove"
	Apply   Order = "up"
	Drop    Order = "up without it"
	// Wait only looks on: nothing is started or stopped for it.
	Wait Order = "wait"
	End  Order = "end of the supervisor"
)

// wantsDown says whether services are to be down after an order.
func (o Order) wantsDown() bool { return o == Stop || o == Remove || o == Drop || o == End }
