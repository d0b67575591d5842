package codec

// Discard gives the buffer back without making a batch, so that benchmarks of
// appending measure no allocation of batches.
func (u *Unsealed) Discard() { u.buf.recycle() }
