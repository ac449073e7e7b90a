package source

import (
	"context"
	"slices"
	"sync"
)

// Memory keeps positions for the time of one run. Its zero value is empty and
// ready to use.
type Memory struct {
	mu        sync.Mutex
	positions []Position // the ID is the index plus one
}

// Save stores p, and sets its ID if it is new.
func (m *Memory) Save(p *Position) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p.ID == 0 {
		m.positions = append(m.positions, Position{})
		p.ID = int64(len(m.positions))
	}
	q := *p
	q.State = slices.Clone(p.State)
	m.positions[p.ID-1] = q
}

// FingerprintLengths implements Positions.
func (m *Memory) FingerprintLengths(context.Context) ([]int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var lengths []int64
	for i := range m.positions {
		if n := m.positions[i].FingerprintLen; !slices.Contains(lengths, n) {
			lengths = append(lengths, n)
		}
	}
	return lengths, nil
}

// ByFingerprint implements Positions.
func (m *Memory) ByFingerprint(_ context.Context, fingerprint [16]byte, length int64) ([]Position, error) {
	return m.find(func(p *Position) bool {
		return p.FingerprintLen == length && p.Fingerprint == fingerprint
	}), nil
}

// ByInode implements Positions.
func (m *Memory) ByInode(_ context.Context, device, inode uint64) ([]Position, error) {
	return m.find(func(p *Position) bool { return p.Device == device && p.Inode == inode }), nil
}

// ByFamily implements Positions.
func (m *Memory) ByFamily(_ context.Context, family string) ([]Position, error) {
	found := m.find(func(p *Position) bool { return p.Family == family })
	return found[max(0, len(found)-1):], nil
}

func (m *Memory) find(match func(*Position) bool) (found []Position) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.positions {
		if match(&m.positions[i]) {
			p := m.positions[i]
			p.State = slices.Clone(p.State)
			found = append(found, p)
		}
	}
	return found
}
