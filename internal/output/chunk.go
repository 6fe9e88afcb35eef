package output

// Chunk is a Fragment of a run on its way to an orchestrator.
type Chunk struct {
	JobID   string
	Run     string // name of the run, as of a Receiver
	Attempt int
	Text    []byte // Fragment.Text
	End     bool   // nothing follows it
}

// Shipped says what became of a Chunk.
type Shipped int

// The answers to a Chunk.
const (
	ShippedTaken    Shipped = iota // it waits to be stored
	ShippedFull                    // too much waits: it was not taken, nor was what follows it of its run
	ShippedUnwanted                // nobody reads output: it was not taken
)

// Arrival is a Chunk that waits to be stored.
type Arrival struct {
	Chunk
	ID   string // its place in the order of arrival
	Size int    // what it counts for in the bounds
}
