package codec

// opened is a body that has been looked at: the checked events, or why they are none.
type opened struct {
	body   []byte  // nil where the batch's own body is it
	memory *Memory // that body is in; nil if it is the collector's
	err    error
}

// asStored marks a batch whose body is good, and not compressed.
var asStored = new(opened)

// Open returns a reader of the batch's events. The first call decompresses the body
// and checks all of it: exactly [Batch.RawSize] bytes and [Batch.Count] events,
// with the first time and the topic counts of the header. A body that breaks this is an error wrapping
// [ErrMalformed], from this call and all later ones; a batch is good as a whole or
// not at all.
//
// The decompressed body is kept for other readers until [Batch.Release].
func (b *Batch) Open() (Reader, error) {
	o := b.opened.Load()
	if o == nil {
		o = b.open()
	}
	if o.err != nil {
		return Reader{}, o.err
	}
	body := o.body
	if o == asStored {
		body = b.body()
	}
	return Reader{body: body, topics: b.Topics, seq: b.First, time: b.Time}, nil
}

// open does what Open does the first time, or the first time after Release.
func (b *Batch) open() *opened {
	b.opening.Lock()
	defer b.opening.Unlock()
	if o := b.opened.Load(); o != nil {
		return o
	}
	o := asStored
	body, err := b.body(), error(nil)
	if b.Compression != CompressionOff {
		o = new(opened)
		body, o.memory, err = decompress(b.Compression, body, b.RawSize)
		o.body = body
	}
	if err == nil {
		err = b.checkBody(body)
	}
	if err != nil {
		o = &opened{err: err}
	}
	b.opened.Store(o)
	return o
}

// Release drops the decompressed body, to be made again by the next [Batch.Open].
// Readers and events that use it already stay valid.
func (b *Batch) Release() {
	if o := b.opened.Load(); o != nil && o.body != nil {
		b.opened.CompareAndSwap(o, nil)
	}
}
