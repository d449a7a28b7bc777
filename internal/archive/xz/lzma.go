package xz

import "encoding/binary"

// This file is the decoder of one LZMA2 chunk.
//
// What makes it fast: a chunk has at most 64 KiB of input, so that it lies in memory as a whole and only the start of
// each symbol has to ask whether input is left; the state of the range decoder is passed by value, so that it stays in
// registers; bits that cannot be predicted (those of literals) are decoded without a branch; the window is linear, so
// that matches are plain copies.

const (
	probBits  = 11
	probInit  = 1 << (probBits - 1)
	moveBits  = 5
	topValue  = 1 << 24
	numStates = 16 // 12 are used; a power of two, so that an index can be masked
	maxPosSt  = 16 // position states: 1 << pb, pb <= 4

	// rateZero is 31 - 2048 as 32 bits: added to a probability, it makes one shift do for both kinds of bit, since
	// p + (2048-p)>>5 is p - (p+31-2048)>>5.
	rateZero = 1<<32 + 1<<moveBits - 1 - 1<<probBits

	lenStates    = 4 // of distance slots, by length
	slotBits     = 6
	alignBits    = 4
	firstModel   = 4  // distance slots below have no further bits
	endModel     = 14 // distance slots from here on have direct bits
	maxLitCoders = 16 // lc + lp <= 4
	minMatch     = 2

	maxInput = 64 << 10 // compressed bytes of a chunk
	slack    = 128      // more than the most that one symbol can read: 48 bits, a byte each
	inSize   = 1 << 17  // a power of two, so that an index can be masked; maxInput + slack fit
	inMask   = inSize - 1
)

// coder is the state of the range decoder: six words with its result, which the compiler keeps in registers.
type coder struct {
	rng, code uint32
	in        *[inSize]byte
	pos       uint
}

// bit decodes one bit, for places where it is likely to be predictable.
func (c coder) bit(p *uint16) (coder, uint32) {
	v := uint32(*p)
	bound := (c.rng >> probBits) * v
	var b uint32
	if c.code < bound {
		c.rng = bound
		*p = uint16(v + (1<<probBits-v)>>moveBits)
	} else {
		c.rng -= bound
		c.code -= bound
		*p = uint16(v - v>>moveBits)
		b = 1
	}
	if c.rng < topValue {
		c.rng <<= 8
		c.code = c.code<<8 | uint32(c.in[c.pos&inMask])
		c.pos++
	}
	return c, b
}

// literal decodes a byte by the tree in probs.
func (c coder) literal(probs *[0x300]uint16) (coder, byte) {
	m := uint32(1)
	for m < 0x100 {
		p := &probs[m]
		v := uint32(*p)
		bound := (c.rng >> probBits) * v
		zero := uint32(int64(uint64(c.code)-uint64(bound)) >> 63) // all ones if the bit is 0
		c.rng = bound&zero | (c.rng-bound)&^zero
		c.code -= bound &^ zero
		*p = uint16(int32(v) - int32(v+zero&rateZero)>>moveBits)
		m = m<<1 + 1 + zero
		if c.rng < topValue {
			c.rng <<= 8
			c.code = c.code<<8 | uint32(c.in[c.pos&inMask])
			c.pos++
		}
	}
	return c, byte(m)
}

// matched decodes a byte after a match: as long as its bits are those of the byte that follows the match, other
// probabilities are used.
func (c coder) matched(probs *[0x300]uint16, match byte) (coder, byte) {
	m, off, by := uint32(1), uint32(0x100), uint32(match)
	for m < 0x100 {
		by <<= 1
		want := by & off
		p := &probs[off+want+m]
		v := uint32(*p)
		bound := (c.rng >> probBits) * v
		zero := uint32(int64(uint64(c.code)-uint64(bound)) >> 63)
		c.rng = bound&zero | (c.rng-bound)&^zero
		c.code -= bound &^ zero
		*p = uint16(int32(v) - int32(v+zero&rateZero)>>moveBits)
		m = m<<1 + 1 + zero
		off &= want ^ zero // still the same: 0x100, else 0
		if c.rng < topValue {
			c.rng <<= 8
			c.code = c.code<<8 | uint32(c.in[c.pos&inMask])
			c.pos++
		}
	}
	return c, byte(m)
}

// tree decodes a number of n bits, the highest first.
func (c coder) tree(probs []uint16, n uint) (coder, uint32) {
	m := uint32(1)
	for range n {
		p := &probs[m]
		v := uint32(*p)
		bound := (c.rng >> probBits) * v
		zero := uint32(int64(uint64(c.code)-uint64(bound)) >> 63)
		c.rng = bound&zero | (c.rng-bound)&^zero
		c.code -= bound &^ zero
		*p = uint16(int32(v) - int32(v+zero&rateZero)>>moveBits)
		m = m<<1 + 1 + zero
		if c.rng < topValue {
			c.rng <<= 8
			c.code = c.code<<8 | uint32(c.in[c.pos&inMask])
			c.pos++
		}
	}
	return c, m - 1<<n
}

// reverse decodes a number of n bits, the lowest first.
func (c coder) reverse(probs []uint16, n uint) (coder, uint32) {
	m, sum := uint32(1), uint32(0)
	for i := range n {
		p := &probs[m]
		v := uint32(*p)
		bound := (c.rng >> probBits) * v
		zero := uint32(int64(uint64(c.code)-uint64(bound)) >> 63)
		c.rng = bound&zero | (c.rng-bound)&^zero
		c.code -= bound &^ zero
		*p = uint16(int32(v) - int32(v+zero&rateZero)>>moveBits)
		m = m<<1 + 1 + zero
		sum |= (1 + zero) << i
		if c.rng < topValue {
			c.rng <<= 8
			c.code = c.code<<8 | uint32(c.in[c.pos&inMask])
			c.pos++
		}
	}
	return c, sum
}

// direct decodes n bits that have no probabilities.
func (c coder) direct(n uint) (coder, uint32) {
	sum := uint32(0)
	for range n {
		c.rng >>= 1
		c.code -= c.rng
		below := uint32(int32(c.code) >> 31) // all ones if the bit is 0
		c.code += c.rng & below
		sum = sum<<1 + 1 + below
		if c.rng < topValue {
			c.rng <<= 8
			c.code = c.code<<8 | uint32(c.in[c.pos&inMask])
			c.pos++
		}
	}
	return c, sum
}

// lengths is the probabilities of a length.
type lengths struct {
	choice   [2]uint16
	low, mid [maxPosSt][8]uint16
	high     [256]uint16
}

func (l *lengths) decode(c coder, posState uint) (coder, uint32) {
	c, b := c.bit(&l.choice[0])
	if b == 0 {
		c, n := c.tree(l.low[posState][:], 3)
		return c, n + minMatch
	}
	if c, b = c.bit(&l.choice[1]); b == 0 {
		c, n := c.tree(l.mid[posState][:], 3)
		return c, n + minMatch + 8
	}
	c, n := c.tree(l.high[:], 8)
	return c, n + minMatch + 16
}

// model is all probabilities of the decoder: what a reset of the state resets.
type model struct {
	isMatch                       [numStates][maxPosSt]uint16
	isRep, isRep0, isRep1, isRep2 [numStates]uint16
	isRepLong                     [numStates][maxPosSt]uint16
	slot                          [lenStates][1 << slotBits]uint16
	special                       [endModel][32]uint16 // by slot; 31 entries at most are used
	align                         [1 << alignBits]uint16
	matchLen, repLen              lengths
	lit                           [maxLitCoders][0x300]uint16
}

// decoder is what lives on from chunk to chunk.
type decoder struct {
	m          model
	state      uint
	rep        [4]uint32 // the last distances, less one
	lc, lp, pb uint
	in         [inSize]byte
}

func fill(p []uint16) {
	for i := range p {
		p[i] = probInit
	}
}

// reset forgets everything learned; the properties stay.
func (d *decoder) reset() {
	m := &d.m
	for i := range numStates {
		fill(m.isMatch[i][:])
		fill(m.isRepLong[i][:])
	}
	for _, p := range [][]uint16{m.isRep[:], m.isRep0[:], m.isRep1[:], m.isRep2[:], m.align[:]} {
		fill(p)
	}
	for i := range m.slot {
		fill(m.slot[i][:])
	}
	for i := range m.special {
		fill(m.special[i][:])
	}
	for _, l := range []*lengths{&m.matchLen, &m.repLen} {
		fill(l.choice[:])
		fill(l.high[:])
		for i := range maxPosSt {
			fill(l.low[i][:])
			fill(l.mid[i][:])
		}
	}
	for i := range m.lit {
		fill(m.lit[i][:])
	}
	d.state, d.rep = 0, [4]uint32{}
}

// chunk decodes exactly len(win)-from bytes into win[from:] out of n bytes of d.in. win[base:from] is what matches
// may refer to; seen is how many bytes came since the dictionary was reset, for the position states.
func (d *decoder) chunk(win []byte, base, from int, seen, n uint) error {
	c := coder{rng: 0xffffffff, in: &d.in, pos: 5}
	if n < 5 || d.in[0] != 0 {
		return ErrData
	}
	c.code = uint32(d.in[1])<<24 | uint32(d.in[2])<<16 | uint32(d.in[3])<<8 | uint32(d.in[4])
	m, state := &d.m, d.state
	posMask, litMask, lc := uint(1)<<d.pb-1, uint(1)<<d.lp-1, d.lc
	shift := seen - uint(from)
	for pos := from; pos < len(win); {
		if c.pos > n {
			return ErrData
		}
		posState := (uint(pos) + shift) & posMask
		var b uint32
		if c, b = c.bit(&m.isMatch[state%numStates][posState%maxPosSt]); b == 0 {
			prev := uint(0)
			if pos > base {
				prev = uint(win[pos-1])
			}
			probs := &m.lit[(((uint(pos)+shift)&litMask)<<lc+prev>>(8-lc))%maxLitCoders]
			if state < 7 {
				c, win[pos] = c.literal(probs)
			} else {
				if int(d.rep[0]) >= pos-base {
					return ErrData
				}
				c, win[pos] = c.matched(probs, win[pos-int(d.rep[0])-1])
			}
			pos++
			state = afterLiteral(state)
			continue
		}
		var length uint32
		if c, b = c.bit(&m.isRep[state%numStates]); b == 0 {
			c, length = d.match(c, posState%maxPosSt)
			state = after(state, 7, 10)
		} else {
			c, length, b = d.repeat(c, state%numStates, posState%maxPosSt)
			state = after(state, 8+uint(b), 11)
		}
		dist := int(d.rep[0]) + 1
		if dist > pos-base || int(length) > len(win)-pos {
			return ErrData
		}
		pos = copyMatch(win, pos, dist, int(length))
	}
	d.state = state
	if c.pos != n || c.code != 0 {
		return ErrData
	}
	return nil
}

func afterLiteral(state uint) uint {
	switch {
	case state < 4:
		return 0
	case state < 10:
		return state - 3
	}
	return state - 6
}

// after gives the state after a match: one for states that come after a literal, one for the others.
func after(state, literal, match uint) uint {
	if state < 7 {
		return literal
	}
	return match
}

// match decodes the length and distance of a match with a new distance.
func (d *decoder) match(c coder, posState uint) (coder, uint32) {
	m := &d.m
	c, length := m.matchLen.decode(c, posState)
	c, slot := c.tree(m.slot[min(length-minMatch, lenStates-1)][:], slotBits)
	d.rep[3], d.rep[2], d.rep[1] = d.rep[2], d.rep[1], d.rep[0]
	if slot < firstModel {
		d.rep[0] = slot
		return c, length
	}
	bits := uint(slot>>1 - 1)
	dist := (2 | slot&1) << bits
	var low uint32
	if slot < endModel {
		c, low = c.reverse(m.special[slot][:], bits)
		d.rep[0] = dist + low
		return c, length
	}
	c, low = c.direct(bits - alignBits)
	dist += low << alignBits
	c, low = c.reverse(m.align[:], alignBits)
	d.rep[0] = dist + low // an end mark, 0xffffffff, is no distance and is refused: LZMA2 has none
	return c, length
}

// repeat decodes a match at one of the last distances; short is 1 if it is a single byte, which is told otherwise.
func (d *decoder) repeat(c coder, state, posState uint) (_ coder, length, short uint32) {
	m := &d.m
	var b uint32
	if c, b = c.bit(&m.isRep0[state]); b == 0 {
		if c, b = c.bit(&m.isRepLong[state][posState]); b == 0 {
			return c, 1, 1
		}
	} else {
		n := 1
		if c, b = c.bit(&m.isRep1[state]); b != 0 {
			n = 2
			if c, b = c.bit(&m.isRep2[state]); b != 0 {
				n = 3
			}
		}
		dist := d.rep[n]
		copy(d.rep[1:n+1], d.rep[:n])
		d.rep[0] = dist
	}
	c, length = m.repLen.decode(c, posState)
	return c, length, 0
}

// copyMatch copies length bytes from dist before pos, which may overlap what it writes, and gives the new pos.
func copyMatch(win []byte, pos, dist, length int) int {
	end := pos + length
	if dist >= 8 && length <= 32 && end+8 <= len(win) {
		// Most matches are short. What this writes beyond end is written again by what follows.
		for i := pos; i < end; i += 8 {
			binary.LittleEndian.PutUint64(win[i:], binary.LittleEndian.Uint64(win[i-dist:]))
		}
		return end
	}
	if dist >= length {
		copy(win[pos:end], win[pos-dist:])
		return end
	}
	if dist == 1 {
		v := win[pos-1]
		for i := pos; i < end; i++ {
			win[i] = v
		}
		return end
	}
	for pos < end { // each round doubles what can be copied at once
		pos += copy(win[pos:end], win[pos-dist:pos])
		dist *= 2
	}
	return end
}
