package parent

import (
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/plan"
	"github.com/netns-verify/netns-verify/parent/trace"
	"github.com/netns-verify/netns-verify/protocol"
)

// makePlan makes the plan of the writer at work.
func (r *run) makePlan() {
	facts := plan.FactsOf(r.writerBase, r.m.NFLog())
	facts.Extreme, facts.Loadable = r.o.Extreme, r.o.Loadable
	r.plan = plan.New(plan.Config{
		Question: r.question, Latches: r.o.Latches, AllowOneWay: r.o.AllowOneWay, Thorough: r.o.Thorough, Facts: facts,
		Found: r.host.Found, Host: r.host.Expected, Sibling: func(k sysctl.Key) sysctl.State { return r.siblingBase[k].State },
	}, r.writerBase)
}

// item is a key's part of a batch of a pass.
func (r *run) item(index int, pass Phase) protocol.Item {
	return r.plan.Item(index, pass == PhaseReverse, r.observed(r.plan.Keys[index].Entry.Key))
}

// observed is what the observers read of a key now, where they can.
func (r *run) observed(k sysctl.Key) []trace.Observed {
	var out []trace.Observed
	if st := r.host.Expected(k); st.OK() {
		out = append(out, trace.Observed{Observer: trace.Host, State: st})
	}
	if st := stateIn(r.siblingBase, k); st.OK() {
		out = append(out, trace.Observed{Observer: trace.Sibling, State: st})
	}
	return out
}
