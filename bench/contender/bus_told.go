package contender

import (
	"context"

	"github.com/verbose-bus/verbose/bus"
)

// hear passes on what a node says of trouble, until the node is closed.
func (e *busEnd) hear() {
	said := e.node.Lifecycle(context.Background())
	e.hearing.Go(func() { // ends with the node; Close waits for it
		for event := range said {
			switch event.Kind {
			case bus.LifecyclePeerDown, bus.LifecycleRejected, bus.LifecycleReport, bus.LifecycleLaggard, bus.LifecycleForgotten:
				e.config.tell(Notice{Text: event.String()})
			case bus.LifecycleGap:
				e.config.tell(Notice{Text: event.String(), Lost: event.Gap.To - event.Gap.From + 1})
			}
		}
	})
}
