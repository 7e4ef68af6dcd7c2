package history

// Transport says how far a request came, as the client saw it.
type Transport int

// The ways in which a request ends.
const (
	Answered  Transport = 1 // a whole reply came, with a body as the API describes it
	NeverSent Transport = 2 // no connection could be made, so no byte was sent
	Broken    Transport = 3 // anything else: time-out, reset, a cut body, a body that makes no sense
)

// Classify decides what came of a request. It is the table in the package
// comment. A change has failed only if it certainly did nothing; whoever cannot
// tell says info.
func Classify(kind Kind, transport Transport, reply Reply) Type {
	switch {
	case transport == Answered && reply.Status >= 200 && reply.Status < 300:
		return TypeOK
	case kind.IsRead():
		return TypeFail // it changed nothing, whatever went wrong
	case transport == NeverSent:
		return TypeFail
	case transport == Answered && reply.Definite:
		return TypeFail
	}
	return TypeInfo
}
